"""The link to Asterisk's manager interface: the engine ends live calls, changes their limits, and receives reports.

The link opens one connection after another, each used once, so that nothing is sent twice after a reconnect. Pings
detect a peer that no longer answers. A wrong secret and missing rights are logged as such. Reconnects have a back-off.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Never

import structlog
from panoramisk.message import Message

from engine.asterisk.ami_connection import AmiConnection, AmiLimits
from engine.asterisk.call_variables import DIALED_PEER, NOT_TAKEN, TAKEN
from engine.asterisk.errors import AmiError, AmiRefused, AmiUnavailable
from engine.domain.call_ends import NORMAL_CLEARING
from engine.runtime.backoff import with_jitter
from engine.runtime.periodic import wait_for

log = structlog.get_logger(__name__)

DEFAULT_LIMITS = AmiLimits()
# The actions that calls need. All are in the class `call`. So is PlayDTMF, which only the beep needs.
REQUIRED_ACTIONS = ("AbsoluteTimeout", "Getvar", "Hangup", "Redirect", "Setvar", "Status")
# With any of these, our secret would be enough to run commands, place calls or change Asterisk's configuration.
EXCESSIVE_ACTIONS = ("Command", "GetConfig", "ModuleLoad", "Originate", "UpdateConfig")


class LinkState(StrEnum):
    """State of the link, as /health shows it."""

    DOWN = "down"
    WRONG_SECRET = "wrong secret"  # noqa: S105  a state, not a password
    UP = "up"


class _LoginRefused(AmiRefused):
    pass


class AmiLink:
    """Keeps one authenticated connection while `run` runs.

    Attributes:
        state: Whether the link can be used, or why not.
        connections: Number of connections so far. A new one may lead to an Asterisk that was restarted meanwhile, and
            reports were lost between it and the one before.
        came_up: Set with every new connection. The task that waits for it clears it.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        secret: str,
        reported: Callable[[str], None] = lambda report: None,
        limits: AmiLimits = DEFAULT_LIMITS,
    ) -> None:
        """Prepares the link.

        Args:
            host: Where Asterisk's manager interface listens.
            port: Its port.
            user: Our user there.
            secret: The user's secret.
            reported: Takes each report of the dialplan; those that are sent while the link is down never come.
            limits: Times and sizes.
        """
        self._host = host
        self._port = port
        self._user = user
        self._secret = secret
        self._reported = reported
        self._limits = limits
        self._connection: AmiConnection | None = None
        self._last_warning = ""
        self.state = LinkState.DOWN
        self.connections = 0
        self.came_up = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Connects, pings and reconnects until `stop` is set; ends at once then."""
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(self._stay_connected())
            await stop.wait()
            connecting.cancel()

    @property
    def is_up(self) -> bool:
        """Whether actions can be sent."""
        return self.state is LinkState.UP

    async def hang_up(self, channel: str, cause: int = NORMAL_CLEARING) -> None:
        """Ends the call of a channel.

        Args:
            channel: The channel's name or unique id.
            cause: The hangup cause (Q.850), from which Asterisk makes the SIP answer to a call that rings.

        Raises:
            AmiUnavailable: Asterisk cannot be reached.
            AmiRefused: There is no such channel (any more).
        """
        await self.action("Hangup", Channel=channel, Cause=str(cause))
        with suppress(AmiError):  # nearly always there is no such channel any more
            await self._end_announcement(channel)

    async def _end_announcement(self, caller: str) -> None:
        """Ends the announcement to a callee whose caller has been hung up.

        Dial() would not notice that the caller is gone until the announcement is over. Raises AmiUnavailable and
        AmiRefused.
        """
        taken = await self.action("Getvar", Channel=caller, Variable=TAKEN)
        if taken.value == NOT_TAKEN:
            peer = await self.action("Getvar", Channel=caller, Variable=DIALED_PEER)
            if peer.value:
                await self.action("Hangup", Channel=peer.value)

    async def action(self, name: str, **fields: str) -> Message:
        """Sends one action and waits for its answer. Raises AmiUnavailable and AmiRefused."""
        return await self._usable().ask(name, fields)

    async def list(self, name: str) -> list[Message]:
        """Sends one action whose answer is a list, and returns its messages. Raises AmiUnavailable and AmiRefused."""
        return await self._usable().ask_list(name)

    def _usable(self) -> AmiConnection:
        if self._connection is None or self.state is not LinkState.UP:
            raise AmiUnavailable("no link to Asterisk's manager interface")
        return self._connection

    async def _stay_connected(self) -> None:
        waits = with_jitter(self._limits.first_retry_seconds, self._limits.longest_retry_seconds)
        while True:
            after = LinkState.DOWN
            try:
                connection = await self._connect()
                await self._ping(connection)
                # Reset only after a ping: a connection that ends as soon as it is made must not shorten the waits.
                waits.reset()
                await self._ping_until_lost(connection)
            except _LoginRefused:
                after = LinkState.WRONG_SECRET
                wait = self._limits.refused_retry_seconds
                self._warn_once("ami_login_refused", user=self._user, next_attempt_seconds=wait)
            except (OSError, AmiError) as error:
                self._warn_once("ami_down", reason=str(error) or type(error).__name__)
            finally:
                self._disconnect(after)
            refused = after is LinkState.WRONG_SECRET
            await asyncio.sleep(self._limits.refused_retry_seconds if refused else waits.next())

    async def _connect(self) -> AmiConnection:
        connection = self._connection = AmiConnection(self._limits, self._reported)
        await connection.open(self._host, self._port)
        try:
            await connection.ask("Login", {"Username": self._user, "Secret": self._secret, "Events": "user"})
        except AmiRefused as error:
            raise _LoginRefused(str(error)) from error
        await self._check_rights(connection)
        self.state = LinkState.UP
        self.connections += 1
        self.came_up.set()
        self._last_warning = ""
        log.info("ami_up")
        return connection

    async def _check_rights(self, connection: AmiConnection) -> None:
        """Compares our rights with what we need: ListCommands lists what the user may do. Raises AmiRefused."""
        allowed = await connection.ask("ListCommands", {})
        missing = [name for name in REQUIRED_ACTIONS if name not in allowed]
        if missing:
            raise AmiRefused(f"the user {self._user} has no right to {', '.join(missing)}: it needs write = call")
        excessive = [name for name in EXCESSIVE_ACTIONS if name in allowed]
        if excessive:
            log.warning("ami_user_has_excessive_rights", user=self._user, actions=excessive)

    async def _ping_until_lost(self, connection: AmiConnection) -> Never:
        while True:
            await self._ping(connection)

    async def _ping(self, connection: AmiConnection) -> None:
        """Waits for the ping interval, then pings. Raises AmiUnavailable as soon as the connection is lost."""
        if await wait_for(connection.lost, self._limits.ping_every_seconds):
            raise AmiUnavailable("connection lost")
        await connection.ping()

    def _disconnect(self, state: LinkState) -> None:
        self.state = state
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _warn_once(self, event: str, **facts: object) -> None:
        """Logs a warning unless it is the same as the last one: an Asterisk may be away for days."""
        warning = f"{event} {facts}"
        if warning != self._last_warning:
            log.warning(event, **facts)
        self._last_warning = warning
