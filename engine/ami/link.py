"""The link to Asterisk's manager interface: live calls are ended through it.

Around panoramisk's `Manager`, for what it does not do by itself: every action has a deadline and is forgotten
when that passes; nothing is sent again after a reconnect; a peer that no longer answers is noticed by pings; a
wrong secret is said so; nonsense ends the connection, not the memory; reconnecting is ours, with back-off.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Never

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from engine.ami.errors import AmiError, AmiRefused, AmiUnavailable

log = structlog.get_logger(__name__)

NEVER_SECONDS = 10**9
# An answer of Asterisk has some hundred bytes; one that has not ended by then never will.
MAX_MESSAGE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_pending`: actions that wait for their answers."""

    action_seconds: float = 2.0
    ping_every_seconds: float = 5.0
    first_retry_seconds: float = 0.2
    longest_retry_seconds: float = 5.0
    max_pending: int = 1000


DEFAULT_LIMITS = Limits()


class LinkState(StrEnum):
    DOWN = "down"
    WRONG_SECRET = "wrong secret"  # noqa: S105  a state, not a password
    UP = "up"


class _LoginRefused(AmiRefused):
    pass


class _Protocol(AMIProtocol):  # type: ignore[misc]  # panoramisk carries no types
    """Knows its connection from the first byte on: panoramisk says it later, and trips over what comes before."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.factory = self._connection

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:
            log.warning("ami_nonsense", kind=type(error).__name__)
            self.transport.abort()
        if self.queue and len(self.queue[0]) > MAX_MESSAGE:
            log.warning("ami_nonsense", kind="message without an end")
            self.transport.abort()


class _Connection(Manager):  # type: ignore[misc]  # panoramisk carries no types
    """One connection, never reconnected: the link makes a new one, so that no old action comes along."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(loop=asyncio.get_running_loop(), ping_delay=NEVER_SECONDS)
        self.awaiting_actions: deque[Action] = deque(maxlen=0)  # what would be sent again after a reconnect
        self.lost = asyncio.Event()
        self._limits = limits

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set()

    def close(self) -> None:
        """At once, and whoever waits for an answer is told."""
        super().close()
        self.protocol.transport.abort()
        self.lost.set()

    async def ask(self, name: str, fields: dict[str, str]) -> Message:
        """Send one action and wait for its answer. Raises AmiUnavailable, AmiRefused."""
        answer: Message = await self._send(name, fields, as_list=False)
        if not answer.success:
            raise AmiRefused(f"{name}: {answer.message}")
        return answer

    async def ask_list(self, name: str) -> list[Message]:
        """Likewise, for an action that is answered by several messages, the last of them an event `…Complete`."""
        answer: list[Message] | Message = await self._send(name, {}, as_list=True)
        if not isinstance(answer, list) or not answer[0].success:
            raise AmiRefused(f"{name}: no list came")
        return answer

    async def _send(self, name: str, fields: dict[str, str], *, as_list: bool) -> Any:  # noqa: ANN401  by as_list
        if not all(value.isprintable() for value in fields.values()):
            raise AmiRefused("a control character would begin another action")
        pending: dict[str, Action] = self.protocol.responses
        if len(pending) >= self._limits.max_pending:
            raise AmiUnavailable(f"{self._limits.max_pending} actions wait for their answers")
        action = Action({"Action": name, **fields}, as_list=as_list)
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


class AmiLink:
    """Keeps one authenticated connection while `run` runs."""

    def __init__(self, *, host: str, port: int, user: str, secret: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._secret = secret
        self._limits = limits
        self._connection: _Connection | None = None
        self.state = LinkState.DOWN
        # How many have been made; a new one tells that Asterisk may be another than before.
        self.connections = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, ping, reconnect, until `stop`; ends at once then, whatever it is waiting for."""
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep())
            await stop.wait()
            keeping.cancel()

    @property
    def is_up(self) -> bool:
        return self.state is LinkState.UP

    async def hang_up(self, channel: str) -> None:
        """End the call of that channel. Raises AmiUnavailable, AmiRefused (it was over already)."""
        await self.action("Hangup", Channel=channel, Cause="16")

    async def action(self, name: str, **fields: str) -> Message:
        """Send one action and wait for its answer. Raises AmiUnavailable, AmiRefused."""
        if self._connection is None or self.state is not LinkState.UP:
            raise AmiUnavailable("no link to Asterisk's manager interface")
        return await self._connection.ask(name, fields)

    async def list(self, name: str) -> list[Message]:
        """Send an action that is answered by a list; all its messages. Raises AmiUnavailable, AmiRefused."""
        if self._connection is None or self.state is not LinkState.UP:
            raise AmiUnavailable("no link to Asterisk's manager interface")
        return await self._connection.ask_list(name)

    async def _keep(self) -> None:
        retry = self._limits.first_retry_seconds
        while True:
            after = LinkState.DOWN
            try:
                connection = await self._connect()
                retry = self._limits.first_retry_seconds
                await self._ping_until_lost(connection)
            except _LoginRefused:
                after = LinkState.WRONG_SECRET
                log.error("ami_login_refused", user=self._user)
            except (OSError, AmiError) as error:
                log.warning("ami_down", reason=str(error) or type(error).__name__)
            finally:
                self._disconnect(after)
            await asyncio.sleep(retry)
            retry = min(retry * 2, self._limits.longest_retry_seconds)

    async def _connect(self) -> _Connection:
        connection = _Connection(self._limits)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.action_seconds):
            made = await loop.create_connection(lambda: _Protocol(connection), self._host, self._port)
        connected: asyncio.Future[object] = loop.create_future()
        connected.set_result(made)
        connection.connection_made(connected)
        self._connection = connection
        try:
            await connection.ask("Login", {"Username": self._user, "Secret": self._secret, "Events": "off"})
        except AmiRefused as error:
            raise _LoginRefused(str(error)) from error
        await connection.ask("CoreStatus", {})
        self.state = LinkState.UP
        self.connections += 1
        log.info("ami_up")
        return connection

    async def _ping_until_lost(self, connection: _Connection) -> Never:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.ping_every_seconds):
                    await connection.lost.wait()
                raise AmiUnavailable("connection lost")
            await connection.ask("CoreStatus", {})

    def _disconnect(self, state: LinkState) -> None:
        self.state = state
        if self._connection is not None:
            self._connection.close()
            self._connection = None
