"""One connection to Asterisk's manager interface, over panoramisk's `Manager`, and everything that bounds it.

Every action has a deadline and is forgotten when that passes. What comes is cut into messages here: one without an
end, a list without an end or a flood that nobody asked for ends the connection, not the memory.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from engine.asterisk.errors import AmiRefused, AmiUnavailable

log = structlog.get_logger(__name__)

NEVER_SECONDS = 10**9
END_OF_MESSAGE = b"\r\n\r\n"
# Asterisk drops lines of more than 1024 bytes.
MAX_VALUE = 512
# Of a list's messages only what somebody reads is kept: a message may have any number of fields.
KEPT_OF_A_LIST = (
    "Response",
    "Message",
    "ActionID",
    "Event",
    "EventList",
    "ListItems",
    "Uniqueid",
    "Linkedid",
    "BridgeID",
)


@dataclass(frozen=True, slots=True)
class AmiLimits:
    """`max_pending`: actions that wait for their answers; `max_message`: bytes of one message, of which an honest one
    has some hundred; `max_list`: bytes of one list; `max_unasked`: bytes of messages that answer nothing, between two
    pings (we ask for no events)."""

    action_seconds: float = 2.0
    ping_every_seconds: float = 5.0
    first_retry_seconds: float = 0.2
    longest_retry_seconds: float = 5.0
    # A wrong secret does not become right by itself, and whoever watches Asterisk's log would ban us.
    refused_retry_seconds: float = 60.0
    max_pending: int = 1000
    max_message: int = 64 * 1024
    max_list: int = 40 * 1024 * 1024
    max_unasked: int = 1024 * 1024


# In a list each message counts as so many bytes at least: what is kept of it, and Python's share. An honest one of a
# channel has half of that.
MIN_LIST_EVENTS = 2048


class _PendingAction(Action):  # type: ignore[misc]  # panoramisk carries no types
    """`taken`: bytes of its answer so far."""

    taken = 0


class TooMuch(Exception):
    """More came than any Asterisk sends."""


class AmiProtocol(AMIProtocol):  # type: ignore[misc]  # panoramisk carries no types
    """Knows its connection from the first byte on: panoramisk says it later, and trips over what comes before."""

    def __init__(self, connection: "AmiConnection", limits: AmiLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._rest = b""
        self._unasked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.factory = self._connection

    def forget_unasked(self) -> None:
        self._unasked = 0

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        *messages, self._rest = (self._rest + data).split(END_OF_MESSAGE)
        try:
            for raw in messages:
                self._take(raw)
            self._refuse_too_long(self._rest)
        except Exception as error:
            # Whatever it was: not Asterisk, or not one that can be understood. The text of it may hold numbers.
            reason = str(error) if isinstance(error, TooMuch) else ""
            log.warning("ami_nonsense", kind=type(error).__name__, reason=reason)
            self._rest = b""
            self.transport.abort()

    def _take(self, raw: bytes) -> None:
        """Raises TooMuch, and whatever panoramisk does for nonsense."""
        self._refuse_too_long(raw)
        message = Message.from_line(raw.decode("utf-8", "ignore").strip())
        action = None if message is None else self.responses.get(message.id)
        if action is None:
            self._unasked += len(raw) + len(END_OF_MESSAGE)
            if self._unasked > self._limits.max_unasked:
                raise TooMuch("a flood that nobody asked for")
        elif action.as_list:
            action.taken += max(len(raw), MIN_LIST_EVENTS)
            if action.taken > self._limits.max_list:
                raise TooMuch("a list without an end")
            message = Message({key: message[key] for key in KEPT_OF_A_LIST if key in message})
        if message is not None:
            self.handle_message(message)

    def _refuse_too_long(self, message: bytes) -> None:
        if len(message) > self._limits.max_message:
            raise TooMuch("a message without an end")


class AmiConnection(Manager):  # type: ignore[misc]  # panoramisk carries no types
    """Never reconnected: the link makes a new one, so that no old action comes along."""

    def __init__(self, limits: AmiLimits) -> None:
        super().__init__(loop=asyncio.get_running_loop(), ping_delay=NEVER_SECONDS)
        self.awaiting_actions: deque[Action] = deque(maxlen=0)  # what would be sent again after a reconnect
        self.lost = asyncio.Event()
        self._limits = limits

    async def open(self, host: str, port: int) -> None:
        """Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.action_seconds):
            made = await loop.create_connection(lambda: AmiProtocol(self, self._limits), host, port)
        connected: asyncio.Future[object] = loop.create_future()
        connected.set_result(made)
        self.connection_made(connected)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set()

    def close(self) -> None:
        """At once, and whoever waits for an answer is told."""
        super().close()
        if self.protocol is not None:
            self.protocol.transport.abort()
        self.lost.set()

    async def ask(self, name: str, fields: dict[str, str]) -> Message:
        """Send one action and wait for its answer. Raises AmiUnavailable, AmiRefused."""
        answer: Message = await self._send(name, fields, as_list=False)
        if not answer.success:
            raise AmiRefused(f"{name}: {answer.message}")
        return answer

    async def ask_list(self, name: str) -> list[Message]:
        """Likewise, for an action that is answered by several messages, the last of them an event `…Complete`.

        Of these messages only the fields in KEPT_OF_A_LIST are left.
        """
        answer: list[Message] | Message = await self._send(name, {}, as_list=True)
        if not isinstance(answer, list) or not answer[0].success:
            raise AmiRefused(f"{name}: no list came")
        return answer

    async def ping(self) -> None:
        """Raises AmiUnavailable, AmiRefused."""
        await self.ask("Ping", {})
        self.protocol.forget_unasked()

    async def _send(self, name: str, fields: dict[str, str], *, as_list: bool) -> Any:  # noqa: ANN401  by as_list
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
    """What would begin another field or another action, or be cut by Asterisk. Raises AmiRefused."""
    if not all(_WORD.fullmatch(word) for word in (name, *fields)):
        raise AmiRefused("the name of an action or a field is not one")
    for field, value in fields.items():
        if not value.isprintable() or len(value.encode()) > MAX_VALUE:
            raise AmiRefused(f"{field}: a control character would begin another action, or it is too long")
