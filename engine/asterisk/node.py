"""What an engine shares with others on its database: who keeps which Asterisk, and errands between the keepers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.asterisk_mark import AsteriskMark
from engine.asterisk.errands import Elsewhere, ErrandRunner, SharedElsewhere
from engine.asterisk.errors import AmiUnavailable
from engine.asterisk.hang_up import hang_up
from engine.asterisk.keepership import Keepership, SharedKeepership
from engine.asterisk.limit_keeper import LimitKeeper
from engine.domain.ids import CallId
from engine.runtime.clock import Clock
from engine.storage.errands import ErrandKind
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.keepers import Keeper

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """An Asterisk with its engine. On a SQLite file there is one.

    Attributes:
        keepership: Whether this engine keeps its Asterisk.
        elsewhere: The calls that other engines keep.
    """

    keepership: Keepership = field(default_factory=Keepership)
    elsewhere: Elsewhere = field(default_factory=Elsewhere)

    async def hang_up(self, link: AmiLink, channels: Sequence[CallId]) -> None:
        """Ends calls, wherever they are. The next sweep tries again where they cannot be reached."""
        try:
            channels = await self.elsewhere.hang_up(channels)
        except (AmiUnavailable, StorageError) as error:
            log.warning("hang_up_postponed", reason=str(error))
        await hang_up(link, channels)

    async def run(
        self, storage: Storage, clock: Clock, link: AmiLink, limits: LimitKeeper, stop: asyncio.Event
    ) -> None:
        """Becomes and stays the keeper, and does the errands of others, until `stop` is set."""
        if not isinstance(self.keepership, SharedKeepership):
            return
        carry_out: dict[ErrandKind, Callable[[str, int], Awaitable[None]]] = {
            ErrandKind.ROOM: limits.make_room,
            ErrandKind.END_RINGING: limits.end_own_ringing,
            ErrandKind.HANG_UP: partial(_hang_up, link),
        }
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keepership.run(stop))
            tasks.create_task(self.keepership.watch_mark(stop))
            tasks.create_task(ErrandRunner(storage, clock, self.keepership, carry_out).run(stop))


def shared_node(storage: Storage, clock: Clock, keeper: Keeper, link: AmiLink) -> Node:
    """Returns the node of an engine that may not be the only one on its database."""
    keepership = SharedKeepership(storage, keeper, clock, AsteriskMark(link))
    return Node(keepership, SharedElsewhere(storage, clock, keepership))


async def _hang_up(link: AmiLink, call_id: str, _: int) -> None:
    await hang_up(link, [call_id])
