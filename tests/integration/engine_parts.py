"""The parts of the engine that speak with Asterisk about live calls, put together as in engine/app.py."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.trunk_states import TrunkStates
from engine.calls.end_spool import EndSpool
from engine.calls.lease_rebalancing import TalkLimit
from engine.calls.lifecycle import AnswerNoted, Settlement
from engine.calls.report_intake import ReportIntake
from engine.calls.reports import Report, ReportReader
from tests.contract.world import World
from tests.integration.ami_links import FAST
from tests.integration.database_world import WorldClock
from tests.integration.fake_ami import FakeAmi
from tests.integration.fake_reports import TOKEN


class WatchedIntake(ReportIntake):
    """The product's report intake, which also counts.

    Attributes:
        taken: Reports that came.
        noted: Reports that are in the database, or changed nothing there.
    """

    taken = 0
    noted = 0

    def take(self, line: str) -> None:
        self.taken += 1
        super().take(line)

    def _noted(self, report: Report, noted: "asyncio.Future[AnswerNoted | Settlement | None]") -> None:
        super()._noted(report, noted)
        self.noted += 1

    async def until_noted(self) -> None:
        """Wait until every report that came is noted, dropped or refused. Raises TimeoutError."""
        async with asyncio.timeout(10):
            while self.noted + self.dropped + self.refused < self.taken:  # noqa: ASYNC110  figures, and no event
                await asyncio.sleep(0.002)


@dataclass(frozen=True)
class EngineParts:
    """The parts; `run` runs those that work on reports. `moved` has the limits that Asterisk has confirmed."""

    ami: FakeAmi
    link: AmiLink
    keeper: LimitKeeper
    intake: WatchedIntake
    spool: EndSpool
    trunks: TrunkStates
    moved: list[TalkLimit]

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run(stop))
            tasks.create_task(self.intake.run(stop))

    async def report(self, report: str) -> None:
        """Send a report over the manager interface, and wait until it is noted."""
        await self.ami.report(report)
        await self.link.action("Ping")  # its answer comes after the event
        await self.intake.until_noted()


def engine_parts(world: World, ami: FakeAmi, spool: Path) -> EngineParts:
    clock = WorldClock(world)
    link = AmiLink(
        host="127.0.0.1",
        port=ami.port,
        user="us",
        secret=ami.secret,
        reported=lambda report: intake.take(report),  # noqa: PLW0108  `intake` comes later
        limits=replace(FAST),  # a copy, which `unanswered` may change
    )
    moved: list[TalkLimit] = []
    keeper = LimitKeeper(world.storage, link, clock, world.policy, moved=moved.append)
    intake = WatchedIntake(ReportReader([TOKEN]), world.storage, clock, world.policy, keeper)
    return EngineParts(ami, link, keeper, intake, EndSpool(spool, intake), TrunkStates(link, clock, {}), moved)
