"""What Asterisk says is up, and what is not: an answer that is late, cut or missing is never "no calls" (M12)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.ami.errors import AmiUnavailable
from engine.ami.limits import LimitKeeper
from engine.ami.link import AmiLink, Limits, LinkState
from engine.ami.presence import Reconciler, ask
from engine.domain.plans import UsagePlan
from engine.journal import Journal
from tests.contract.samples import POLICY, SECOND
from tests.contract.world import World
from tests.integration.asterisk_ami import AsteriskAmi
from tests.integration.fake_asterisk import WorldClock, a_world
from tests.integration.test_ami_link import until_state

FAST = Limits(action_seconds=0.3, ping_every_seconds=0.2, first_retry_seconds=0.05, longest_retry_seconds=0.1)
PLAN = UsagePlan.MEDIUM
INTERVAL = 0.05


@dataclass
class Scene:
    world: World
    ami: AsteriskAmi
    link: AmiLink
    journal: Path

    async def call(self, call_id: str, *, talking: bool = True) -> None:
        """A call that is up in the books, and in Asterisk."""
        booking = await self.world.book(PLAN)
        await self.world.bridge(booking, call_id)
        if talking:
            await self.world.answered(call_id)
        self.ami.channels.up[call_id] = f"callee-{call_id}" if talking else None
        self.world.now += 10 * SECOND

    def states(self) -> dict[str, str]:
        return {row["call_id"]: row["state"] for row in self.world.rows("SELECT call_id, state FROM calls")}

    async def lists(self, count: int) -> None:
        """Until Asterisk was asked that often from now on."""
        await self.ami.wait_for("CoreShowChannels", len(self.ami.named("CoreShowChannels")) + count)

    async def until_state_of(self, call_id: str, state: str) -> None:
        async with asyncio.timeout(10):
            while self.states()[call_id] != state:  # noqa: ASYNC110  books, no event
                await asyncio.sleep(0.02)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_world(tmp_path) as world, AsteriskAmi() as ami:
        clock = WorldClock(world)
        link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret, limits=FAST)
        keeper = LimitKeeper(world.storage, link, clock, POLICY)
        journal = Journal(tmp_path / "journal", world.storage, clock, keeper.changed)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run(stop))
            await until_state(link, LinkState.UP)
            tasks.create_task(Reconciler(world.storage, link, clock, keeper, journal, INTERVAL).run(stop))
            yield Scene(world, ami, link, tmp_path / "journal")
            stop.set()


async def test_calls_that_asterisk_knows_stay(scene: Scene) -> None:
    await scene.call("c1")
    await scene.call("c2", talking=False)
    await scene.lists(4)
    assert scene.states() == {"c1": "LIVE", "c2": "RINGING"}


async def test_a_call_that_is_missing_from_two_lists_is_settled_up_to_when_it_was_seen(scene: Scene) -> None:
    await scene.call("c1")
    await scene.lists(3)
    scene.world.now += 100 * SECOND
    del scene.ami.channels.up["c1"]
    await scene.until_state_of("c1", "SETTLED")
    [record] = scene.world.rows("SELECT duration, disposition FROM cdrs")
    assert record == {"duration": 10, "disposition": "LOST"}


async def test_a_call_that_only_rang_and_is_missing_costs_nothing(scene: Scene) -> None:
    await scene.call("c1", talking=False)
    del scene.ami.channels.up["c1"]
    await scene.until_state_of("c1", "VOIDED")


@pytest.mark.parametrize("fault", ["events", "end", "refused", "silent"])
async def test_a_list_that_is_not_complete_is_never_taken_for_no_calls(scene: Scene, fault: str) -> None:
    await scene.call("c1")
    await scene.lists(2)
    match fault:
        case "events":
            scene.ami.channels.lost_events = 2
        case "end":
            scene.ami.channels.lost_end = True
        case "refused":
            scene.ami.channels.lost_events = 2
            scene.ami.channels.lost_end = True
        case "silent":
            scene.ami.silent = True
    await asyncio.sleep(1.0)
    assert scene.states() == {"c1": "LIVE"}


async def test_an_incomplete_list_is_an_error_to_whoever_asks(scene: Scene) -> None:
    await scene.call("c1")
    scene.ami.channels.lost_events = 1
    with pytest.raises(AmiUnavailable):
        await ask(scene.link)


async def test_an_end_in_the_journal_counts_before_what_asterisk_no_longer_knows(scene: Scene) -> None:
    await scene.call("c1")
    await scene.lists(2)
    at = scene.world.at
    end = {"callId": "c1", "answeredMs": 7_300, "dialStatus": "ANSWER", "now": at.now, "ticks": at.ticks}
    scene.journal.mkdir(exist_ok=True)
    partial = scene.journal / ".partial"
    partial.write_text(json.dumps(end))
    partial.rename(scene.journal / "c1.json")
    del scene.ami.channels.up["c1"]
    await scene.until_state_of("c1", "SETTLED")
    [record] = scene.world.rows("SELECT duration, disposition FROM cdrs")
    assert record == {"duration": 8, "disposition": "ANSWERED"}


async def test_a_call_found_talking_is_live_and_gets_its_share(scene: Scene) -> None:
    await scene.call("c1", talking=False)
    scene.ami.channels.up["c1"] = "callee-c1"
    await scene.until_state_of("c1", "LIVE")
    [row] = scene.world.rows("SELECT callee_channel FROM calls")
    assert row == {"callee_channel": "callee-c1"}
