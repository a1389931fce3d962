"""The link to Asterisk's manager interface: live calls are ended through it.

Around panoramisk's `Manager`, for what it does not do by itself: every action has a deadline and is forgotten
when that passes; nothing is sent again after a reconnect; a peer that no longer answers is noticed by pings; a
wrong secret is said so; reconnecting is ours, with back-off.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from engine.ami.errors import AmiRefused, AmiUnavailable

log = structlog.get_logger(__name__)

NEVER_SECONDS = 10**9


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


class _Connection(Manager):  # type: ignore[misc]  # panoramisk carries no types
    """One connection, never reconnected: the link makes a new one, so that no old action comes along."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(loop=asyncio.get_running_loop(), ping_delay=NEVER_SECONDS)
        self.limits = limits
        self.awaiting_actions: deque[Action] = deque(maxlen=0)  # what would be sent again after a reconnect
        self.lost = asyncio.Event()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set()


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

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, ping, reconnect, until `stop`."""
        retry = self._limits.first_retry_seconds
        while not stop.is_set():
            try:
                await self._connect()
                retry = self._limits.first_retry_seconds
                await self._ping_until_lost(stop)
            except (OSError, AmiUnavailable) as error:
                log.warning("ami_down", reason=str(error) or type(error).__name__)
            except AmiRefused:
                self.state = LinkState.WRONG_SECRET
                log.error("ami_login_refused", user=self._user)
            finally:
                self._disconnect()
            await _wait(stop, retry)
            retry = min(retry * 2, self._limits.longest_retry_seconds)

    async def hang_up(self, channel: str) -> None:
        """End the call of that channel. Raises AmiUnavailable, AmiRefused (it was over already)."""
        await self.action("Hangup", Channel=channel, Cause="16")

    async def action(self, name: str, **fields: str) -> Message:
        """Send one action and wait for its answer. Raises AmiUnavailable, AmiRefused."""
        if self._connection is None or self.state is not LinkState.UP:
            raise AmiUnavailable("no link to Asterisk's manager interface")
        return await _send(self._connection, name, fields)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.action_seconds):
            transport, protocol = await loop.create_connection(AMIProtocol, self._host, self._port)
        connection = _Connection(self._limits)
        connected: asyncio.Future[tuple[asyncio.BaseTransport, AMIProtocol]] = loop.create_future()
        connected.set_result((transport, protocol))
        connection.connection_made(connected)
        self._connection = connection
        await _send(connection, "Login", {"Username": self._user, "Secret": self._secret, "Events": "off"})
        await _send(connection, "CoreStatus", {})
        self.state = LinkState.UP
        log.info("ami_up")

    async def _ping_until_lost(self, stop: asyncio.Event) -> None:
        assert self._connection is not None  # noqa: S101  _connect has just set it
        while not stop.is_set():
            await _wait(self._connection.lost, self._limits.ping_every_seconds, stop)
            if self._connection.lost.is_set():
                raise AmiUnavailable("connection lost")
            if not stop.is_set():
                await _send(self._connection, "CoreStatus", {})

    def _disconnect(self) -> None:
        if self.state is LinkState.UP:
            self.state = LinkState.DOWN
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _send(connection: _Connection, name: str, fields: dict[str, str]) -> Message:
    for value in fields.values():
        if not value.isprintable():
            raise AmiRefused("a control character would begin another action")
    pending: dict[str, Action] = connection.protocol.responses
    if len(pending) >= connection.limits.max_pending:
        raise AmiUnavailable(f"{connection.limits.max_pending} actions wait for their answers")
    action = Action({"Action": name, **fields}, as_list=False)
    future = connection.send_action(action, as_list=False)
    lost = asyncio.ensure_future(connection.lost.wait())
    try:
        await asyncio.wait(
            {future, lost}, timeout=connection.limits.action_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not future.done():
            raise AmiUnavailable(f"no answer to {name}")
        answer: Message = future.result()
    finally:
        lost.cancel()
        future.cancel()
        pending.pop(action.id, None)
    if not answer.success:
        raise AmiRefused(f"{name}: {answer.message}")
    return answer


async def _wait(event: asyncio.Event, seconds: float, other: asyncio.Event | None = None) -> None:
    """Until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(each.wait()) for each in (event, other) if each is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
