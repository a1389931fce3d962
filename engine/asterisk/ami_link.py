"""The link to Asterisk's manager interface: live calls are ended through it, and their limits moved.

Around connections that are used once: nothing is sent again after a reconnect; a peer that no longer answers is
noticed by pings; a wrong secret, or a user without the rights that we need, is said so; reconnecting is ours, with
back-off.
"""

import asyncio
from enum import StrEnum
from typing import Never

import structlog
from panoramisk.message import Message

from engine.asterisk.ami_connection import AmiConnection, AmiLimits
from engine.asterisk.errors import AmiError, AmiRefused, AmiUnavailable
from engine.runtime.backoff import with_jitter
from engine.runtime.periodic import wait_for

log = structlog.get_logger(__name__)

DEFAULT_LIMITS = AmiLimits()
# What we do there; all of it is in the class `call`.
NEEDED = ("AbsoluteTimeout", "Hangup", "Status")
# Each would let whoever has our secret run commands, make calls or change Asterisk.
TOO_MUCH = ("Command", "GetConfig", "ModuleLoad", "Originate", "UpdateConfig")


class LinkState(StrEnum):
    DOWN = "down"
    WRONG_SECRET = "wrong secret"  # noqa: S105  a state, not a password
    UP = "up"


class _LoginRefused(AmiRefused):
    pass


class AmiLink:
    """Keeps one authenticated connection while `run` runs."""

    def __init__(self, *, host: str, port: int, user: str, secret: str, limits: AmiLimits = DEFAULT_LIMITS) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._secret = secret
        self._limits = limits
        self._connection: AmiConnection | None = None
        self._said = ""
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
        return await self._up().ask(name, fields)

    async def list(self, name: str) -> list[Message]:
        """Send an action that is answered by a list; all its messages. Raises AmiUnavailable, AmiRefused."""
        return await self._up().ask_list(name)

    def _up(self) -> AmiConnection:
        if self._connection is None or self.state is not LinkState.UP:
            raise AmiUnavailable("no link to Asterisk's manager interface")
        return self._connection

    async def _keep(self) -> None:
        waits = with_jitter(self._limits.first_retry_seconds, self._limits.longest_retry_seconds)
        while True:
            after = LinkState.DOWN
            try:
                connection = await self._connect()
                await self._ping(connection)
                # Only now: one that ends as soon as it is made is no reason to come back sooner.
                waits.reset()
                await self._ping_until_lost(connection)
            except _LoginRefused:
                after = LinkState.WRONG_SECRET
                self._say_once("ami_login_refused", user=self._user)
            except (OSError, AmiError) as error:
                self._say_once("ami_down", reason=str(error) or type(error).__name__)
            finally:
                self._disconnect(after)
            refused = after is LinkState.WRONG_SECRET
            await asyncio.sleep(self._limits.refused_retry_seconds if refused else waits.next())

    async def _connect(self) -> AmiConnection:
        connection = self._connection = AmiConnection(self._limits)
        await connection.open(self._host, self._port)
        try:
            await connection.ask("Login", {"Username": self._user, "Secret": self._secret, "Events": "off"})
        except AmiRefused as error:
            raise _LoginRefused(str(error)) from error
        await self._look_at_rights(connection)
        self.state = LinkState.UP
        self.connections += 1
        self._said = ""
        log.info("ami_up")
        return connection

    async def _look_at_rights(self, connection: AmiConnection) -> None:
        """Asterisk lists to each user what it may do. Raises AmiRefused."""
        allowed = await connection.ask("ListCommands", {})
        missing = [name for name in NEEDED if name not in allowed]
        if missing:
            raise AmiRefused(f"the user {self._user} has no right to {', '.join(missing)}: write = call")
        too_much = [name for name in TOO_MUCH if name in allowed]
        if too_much:
            log.warning("ami_user_has_rights_that_we_do_not_need", user=self._user, actions=too_much)

    async def _ping_until_lost(self, connection: AmiConnection) -> Never:
        while True:
            await self._ping(connection)

    async def _ping(self, connection: AmiConnection) -> None:
        """After the time between two pings. Raises AmiUnavailable, at once when the connection is lost."""
        if await wait_for(connection.lost, self._limits.ping_every_seconds):
            raise AmiUnavailable("connection lost")
        await connection.ping()

    def _disconnect(self, state: LinkState) -> None:
        self.state = state
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _say_once(self, event: str, **facts: str) -> None:
        """Not at every attempt: an Asterisk may be away for days."""
        said = f"{event} {facts}"
        if said != self._said:
            log.warning(event, **facts)
        self._said = said
