"""One connection to Asterisk's manager interface (AMI): panoramisk's `Manager`, with a limit on everything.

Every action has a deadline and is forgotten when it passes. This module splits the stream into messages itself: an
endless message, an endless list or a flood of unsolicited messages ends the connection instead of filling the memory.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from engine.asterisk.errors import AmiRefused, AmiUnavailable

log = structlog.get_logger(__name__)

# panoramisk pings by itself; this delay turns that off.
NEVER_SECONDS = 10**9
END_OF_MESSAGE = b"\r\n\r\n"
# The dialplan's event; the manager's user gets no other.
USER_EVENT = b"Event: UserEvent\r\n"
_OURS = b"\r\nUserEvent: RentedNumbers\r\n"
_REPORT = b"\r\nReport: "
# While it ends, Asterisk refuses every action with these words, a login with the right secret too (manager.c).
SHUTTING_DOWN = "Asterisk is shutting down"
# Asterisk drops lines of more than 1024 bytes.
MAX_VALUE = 512
# The only fields kept of the messages of a list: a message may have any number of fields.
LIST_FIELDS = (
    "Response",
    "Message",
    "ActionID",
    "Event",
    "EventList",
    "Channel",
    "ListItems",
    "Uniqueid",
    "Linkedid",
    "BridgeID",
)
# Bytes that each message of a list counts for at least: its kept fields and Python's overhead. For the channel of a
# real call that is about twice what it takes.
MIN_LIST_MESSAGE = 2048


@dataclass(frozen=True, slots=True)
class AmiLimits:
    """Times and sizes of AMI connections.

    Attributes:
        action_seconds: Time limit for an action's answer.
        ping_every_seconds: Interval between pings.
        first_retry_seconds: First wait before a reconnect.
        longest_retry_seconds: Longest wait before a reconnect.
        refused_retry_seconds: Wait after a refused login.
        max_pending: Actions that wait for their answers.
        max_message: Bytes of one message; Asterisk's own have some hundred.
        max_list: Bytes of one list.
        max_unsolicited: Bytes of messages that neither answer an action nor are reports of the dialplan, between two
            pings. We subscribe to no other events.
    """

    action_seconds: float = 2.0
    ping_every_seconds: float = 5.0
    first_retry_seconds: float = 0.2
    longest_retry_seconds: float = 5.0
    # A wrong secret stays wrong until somebody acts, and fail2ban on Asterisk's log would ban us for frequent retries.
    refused_retry_seconds: float = 60.0
    max_pending: int = 1000
    max_message: int = 64 * 1024
    max_list: int = 40 * 1024 * 1024
    max_unsolicited: int = 1024 * 1024


class _PendingAction(Action):  # type: ignore[misc]  # panoramisk carries no types
    # Bytes of the answer so far.
    received = 0


class AmiLimitExceeded(Exception):
    """The peer sent more than any Asterisk does."""


class AmiProtocol(AMIProtocol):  # type: ignore[misc]  # panoramisk carries no types
    """The protocol of one connection, with limits.

    It gets its `AmiConnection` at construction: panoramisk's own sets it later, and fails on data that comes earlier.
    """

    def __init__(self, connection: "AmiConnection", limits: AmiLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._rest = b""
        self._unsolicited = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connects panoramisk's protocol with the connection it belongs to."""
        super().connection_made(transport)
        self.factory = self._connection

    def reset_unsolicited(self) -> None:
        """Starts to count unsolicited bytes from 0 again."""
        self._unsolicited = 0

    def data_received(self, data: bytes) -> None:
        """Splits the stream into messages and passes them on; aborts the connection on anything unexpected."""
        if self.transport.is_closing():
            return
        *messages, self._rest = (self._rest + data).split(END_OF_MESSAGE)
        try:
            for raw in messages:
                self._handle(raw)
            self._check_length(self._rest)
        except Exception as error:
            # The peer is no Asterisk, or sent something panoramisk cannot parse. Only our own error's text is logged:
            # any other may quote the message, with numbers in it.
            reason = str(error) if isinstance(error, AmiLimitExceeded) else ""
            log.warning("ami_protocol_error", kind=type(error).__name__, reason=reason)
            self._rest = b""
            self.transport.abort()

    def _handle(self, raw: bytes) -> None:
        """Raises AmiLimitExceeded, and whatever panoramisk raises for a message it cannot parse."""
        self._check_length(raw)
        if raw.startswith(USER_EVENT) and (report := _report_in(raw)) is not None:
            self._connection.reported(report)
            return
        message = Message.from_line(raw.decode("utf-8", "ignore").strip())
        action = None if message is None else self.responses.get(message.id)
        if action is None:
            self._unsolicited += len(raw) + len(END_OF_MESSAGE)
            if self._unsolicited > self._limits.max_unsolicited:
                raise AmiLimitExceeded("a flood of unsolicited messages")
        elif action.as_list:
            action.received += max(len(raw), MIN_LIST_MESSAGE)
            if action.received > self._limits.max_list:
                raise AmiLimitExceeded("an endless list")
            message = Message({key: message[key] for key in LIST_FIELDS if key in message})
        if message is not None:
            self.handle_message(message)

    def _check_length(self, message: bytes) -> None:
        if len(message) > self._limits.max_message:
            raise AmiLimitExceeded("an endless message")


def _report_in(event: bytes) -> str | None:
    """Returns the report in an event; None if it is none of ours.

    The event is not parsed as a whole, because every call sends two of them. Asterisk puts the dialplan's fields last.
    """
    name = event.find(_OURS)
    report = event.find(_REPORT, name + len(_OURS) - len(b"\r\n")) if name >= 0 else -1
    if report < 0:
        return None
    text, _, _ = event[report + len(_REPORT) :].partition(b"\r\n")
    return text.decode("utf-8", "replace")


class AmiConnection(Manager):  # type: ignore[misc]  # panoramisk carries no types
    """A connection that is used once.

    It is never reconnected: the link makes a new one, so no action of the old one is sent again.

    Attributes:
        lost: Set when the connection is closed or lost.
    """

    def __init__(self, limits: AmiLimits, reported: Callable[[str], None]) -> None:
        """Prepares a connection.

        Args:
            limits: Times and sizes.
            reported: Takes each report of the dialplan, see engine/calls/reports.py.
        """
        super().__init__(loop=asyncio.get_running_loop(), ping_delay=NEVER_SECONDS)
        self.reported = reported
        # panoramisk would send these actions again after a reconnect; with `maxlen=0` it keeps none.
        self.awaiting_actions: deque[Action] = deque(maxlen=0)
        self.lost = asyncio.Event()
        self._limits = limits

    async def open(self, host: str, port: int) -> None:
        """Connects.

        Raises:
            OSError: The peer cannot be reached.
            TimeoutError: The peer did not answer in time.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.action_seconds):
            made = await loop.create_connection(lambda: AmiProtocol(self, self._limits), host, port)
        connected: asyncio.Future[object] = loop.create_future()
        connected.set_result(made)
        self.connection_made(connected)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Sets `lost`; panoramisk's own method would reconnect."""
        self.lost.set()

    def close(self) -> None:
        """Closes the connection at once; actions that wait for an answer fail."""
        super().close()
        if self.protocol is not None:
            self.protocol.transport.abort()
        self.lost.set()

    async def ask(self, name: str, fields: dict[str, str]) -> Message:
        """Sends one action and waits for its answer.

        Raises:
            AmiUnavailable: No answer came; Asterisk may have executed the action.
            AmiRefused: The action was not executed.
        """
        answer: Message = await self._send(name, fields, as_list=False)
        if answer.message == SHUTTING_DOWN:
            raise AmiUnavailable(f"{name}: {SHUTTING_DOWN}")
        if not answer.success:
            raise AmiRefused(f"{name}: {answer.message}")
        return answer

    async def ask_list(self, name: str) -> list[Message]:
        """Sends one action whose answer is several messages, the last of them an event `…Complete`.

        Returns:
            The messages, each with the fields in LIST_FIELDS only.

        Raises:
            AmiUnavailable: No answer came.
            AmiRefused: Asterisk answered something else than a list.
        """
        answer: list[Message] | Message = await self._send(name, {}, as_list=True)
        if not isinstance(answer, list) or not answer[0].success:
            raise AmiRefused(f"{name}: the answer is no list")
        return answer

    async def ping(self) -> None:
        """Checks that Asterisk answers. Raises as `ask` does."""
        await self.ask("Ping", {})
        self.protocol.reset_unsolicited()

    async def _send(self, name: str, fields: dict[str, str], *, as_list: bool) -> Any:  # noqa: ANN401  as_list decides
        refuse_unsafe(name, fields)
        if self.lost.is_set():
            raise AmiUnavailable("connection lost")
        pending: dict[str, Action] = self.protocol.responses
        if len(pending) >= self._limits.max_pending:
            raise AmiUnavailable(f"{self._limits.max_pending} actions wait for their answers")
        action = _PendingAction({"Action": name, **fields}, as_list=as_list)
        future = self.send_action(action, as_list=as_list)
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({future, lost}, timeout=self._limits.action_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise AmiUnavailable(f"no answer to {name}")
            return future.result()
        finally:
            lost.cancel()
            future.cancel()
            pending.pop(action.id, None)


_WORD = re.compile("[A-Za-z]{1,40}")


def refuse_unsafe(name: str, fields: dict[str, str]) -> None:
    """Refuses an action that Asterisk would read as something else.

    Raises:
        AmiRefused: A name or value would start another field or action, or is so long that Asterisk cuts it.
    """
    if not all(_WORD.fullmatch(word) for word in (name, *fields)):
        raise AmiRefused("the name of the action or of a field is not a word")
    for field, value in fields.items():
        if not value.isprintable() or len(value.encode()) > MAX_VALUE:
            raise AmiRefused(f"{field}: the value has a control character or is too long")
