"""Reconciliation over a real socket: a call is dropped only after two complete lists without it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest

from engine.asterisk import reconciler
from engine.asterisk.ami_link import LinkState
from engine.asterisk.errors import AmiError
from engine.asterisk.reconciler import list_channels
from engine.calls.reconciliation import settle_vanished
from engine.domain.ids import CallId
from engine.storage.transaction import Transaction
from tests.contract.samples import SECOND
from tests.integration import fake_reports
from tests.integration.ami_links import IN_VAIN_SECONDS, in_vain, unanswered, until_state
from tests.integration.database_world import world_on_disk
from tests.integration.fake_channels import FakeChannels, UpCall
from tests.integration.reconciling import (
    Broken,
    Once,
    RunningReconciler,
    Sometimes,
    running_reconciler,
    whole,
    without_calls,
)


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[RunningReconciler]:
    async with (
        world_on_disk(tmp_path) as world,
        FakeChannels() as ami,
        running_reconciler(world, ami, tmp_path / "journal") as work,
    ):
        yield work


INCOMPLETE: dict[str, Broken] = {
    "no end": lambda messages: messages[:-1],
    "a channel short": lambda messages: [messages[0], *messages[2:]],
    "a channel too many": lambda messages: [*messages[:2], *messages[1:]],
    "no channel": lambda messages: [messages[0], messages[-1]],
    "nothing at all": lambda messages: [],
    "the first answer only": lambda messages: messages[:1],
    "no count": lambda messages: [*messages[:-1], "Event: StatusComplete\r\nEventList: Complete"],
    "no figure": lambda messages: [*messages[:-1], "Event: StatusComplete\r\nListItems: none"],
    "cancelled": lambda messages: [messages[0], "Event: StatusComplete\r\nEventList: cancelled"],
    "refused": lambda messages: ["Response: Error\r\nMessage: Permission denied"],
}


@pytest.mark.parametrize("broken", INCOMPLETE.values(), ids=INCOMPLETE)
async def test_an_incomplete_list_is_ignored(work: RunningReconciler, broken: Broken) -> None:
    await work.talk(CallId("c1"))
    work.ami.listed = broken
    with in_vain(work.link):
        with pytest.raises(AmiError):
            await list_channels(work.link)
        await work.rounds(3)
    assert work.ended() == {}


async def test_a_complete_list_shows_live_and_talking_calls(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"))
    work.ami.up["c2"] = UpCall("c2", 10)
    presence = await list_channels(work.link)
    assert {"c1", "c2"} <= presence.calls
    assert presence.talking == {"c1": "c1-callee"}
    work.ami.up.clear()
    assert (await list_channels(work.link)).calls == frozenset()


async def test_a_silent_or_late_asterisk_drops_no_call(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"))
    with in_vain(work.link):
        work.ami.late["Status"] = 2 * IN_VAIN_SECONDS
        await work.ami.wait_for("Status", len(work.ami.named("Status")) + 3)
    with unanswered(work.ami, work.link):
        await work.until_down()
    work.ami.late.clear()
    await work.rounds()
    assert work.ended() == {}
    assert work.states() == {"c1": "LIVE"}


async def test_a_vanished_call_is_settled_after_two_lists_without_it(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"))
    await work.rounds(2)
    work.world.now += 12_001
    await work.rounds(2)
    del work.ami.up["c1"]
    await work.rounds()
    assert work.ended() == {"c1": ("LOST", 13)}


@pytest.mark.parametrize("between", [whole, INCOMPLETE["a channel short"], INCOMPLETE["no end"]])
async def test_a_call_that_is_missing_now_and_then_stays_up(work: RunningReconciler, between: Broken) -> None:
    """It is missing, but not twice in a row. A broken list restarts the count."""
    await work.talk(CallId("c1"))
    work.world.now += SECOND
    work.ami.listed = Sometimes(without_calls, between)
    with in_vain(work.link):
        await work.rounds(10)
    assert work.ended() == {}


async def test_two_lists_with_a_lost_link_between_them_do_not_count_as_two(tmp_path: Path) -> None:
    async with (
        world_on_disk(tmp_path) as world,
        FakeChannels() as ami,
        running_reconciler(world, ami, tmp_path, 0.5) as work,
    ):
        await work.talk(CallId("c1"))
        world.now += SECOND
        ami.listed = without_calls
        async with asyncio.timeout(10):
            while not work.reconciler._missing:  # noqa: ASYNC110  the first list lacked the call
                await asyncio.sleep(0.01)
        await ami.stop()
        await work.until_down()
        ami.listed = Once(without_calls)
        await ami.start()
        await work.rounds(3)
        assert work.ended() == {}


async def test_an_end_in_the_spool_takes_precedence_for_a_vanished_call(work: RunningReconciler) -> None:
    """Even when it is written at the last moment, during the second list."""
    booking = await work.talk(CallId("c1"))
    await work.rounds(1)
    del work.ami.up["c1"]
    asked = 0

    async def write() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            fake_reports.spool(work.spool, fake_reports.ended("c1", booking.id, 7 * SECOND, now=work.world.now))

    work.ami.before_list = write
    await work.rounds()
    assert work.ended() == {"c1": ("ANSWERED", 7)}


@pytest.mark.parametrize("ends", ["before the gap", "in the gap"])
async def test_the_spool_is_read_at_once_after_a_gap_of_the_link(tmp_path: Path, ends: str) -> None:
    """The next round would come in an hour. Asterisk stays up, and only its event is lost."""
    async with (
        world_on_disk(tmp_path) as world,
        FakeChannels() as ami,
        running_reconciler(world, ami, tmp_path / "journal", 3_600) as work,
    ):
        booking = await work.talk(CallId("c1"))
        await work.until_calm()
        end = fake_reports.ended("c1", booking.id, 7 * SECOND, now=world.now)
        if ends == "before the gap":
            fake_reports.spool(work.spool, end)
            ami.drop()
        else:
            ami.drop()
            await until_state(work.link, LinkState.DOWN)
            fake_reports.spool(work.spool, end)
        del ami.up["c1"]
        await work.until_ended("c1")
        assert work.ended() == {"c1": ("ANSWERED", 7)}


async def test_a_call_with_a_lost_answer_report_is_found_talking_and_gets_its_share(work: RunningReconciler) -> None:
    booking = await work.talk(CallId("c1"))
    await work.until_calm()
    await work.talk(CallId("c2"), booking=booking, answer_is_reported=False)
    work.ami.up["c2"].limit = 100  # lowered at the moment of the answer, and not booked
    async with asyncio.timeout(10):
        while work.ami.limits != {"c1": 150, "c2": 150}:  # noqa: ASYNC110  a peer, and no event of it
            await asyncio.sleep(0.01)
    assert work.states() == {"c1": "LIVE", "c2": "LIVE"}


async def test_unused_seconds_are_given_to_live_calls(work: RunningReconciler) -> None:
    """As after a script that was cut off when it had settled the end of another call."""
    booking = await work.talk(CallId("c1"))
    await work.talk(CallId("c2"), booking=booking)
    del work.ami.up["c2"]
    await work.world.ended(CallId("c2"), SECOND)
    async with asyncio.timeout(10):
        while work.ami.limits != {"c1": 299}:  # noqa: ASYNC110  a peer, and no event of it
            await asyncio.sleep(0.01)


async def test_a_ringing_call_is_left_ringing(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"), answer_is_reported=False)
    work.ami.up["c1"].talks = False
    await work.rounds()
    assert (work.states(), work.ami.sent()) == ({"c1": "RINGING"}, [])


async def test_a_vanished_ringing_call_costs_nothing(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"), answer_is_reported=False)
    del work.ami.up["c1"]
    work.world.now += SECOND
    await work.rounds()
    assert work.ended() == {"c1": ("LOST", 0)}


async def test_a_call_that_arrives_during_the_list_is_not_missing(work: RunningReconciler) -> None:
    """The test clock stands still, so the call did not arrive before the list was requested."""
    booking = await work.world.book()
    await work.world.bridge(booking, "c1")
    await work.rounds()
    assert work.ended() == {}


async def test_every_limit_is_sent_again_after_a_reconnect(work: RunningReconciler) -> None:
    await work.talk(CallId("c1"))
    await work.rounds(2)
    before = len(work.ami.limits_set)
    work.ami.drop()  # it is back before the next list
    await work.ami.until_limits_set(before + 1)
    assert work.ami.sent()[-1] == ("c1", 300)


async def test_an_asterisk_that_crashes_with_its_calls_leaves_no_lease(work: RunningReconciler) -> None:
    for number in range(4):
        await work.talk(CallId(f"c{number}"))
    work.world.now += 5 * SECOND
    await work.rounds(2)
    await work.ami.stop()
    await work.until_down()
    work.ami.up.clear()
    assert work.ended() == {}
    await work.ami.start()
    await work.rounds()
    assert work.ended() == {f"c{number}": ("LOST", 5) for number in range(4)}


async def test_thousands_of_vanished_calls_are_settled_in_many_transactions(
    work: RunningReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command of PostgreSQL has little time, and a call waits for it."""
    counts: list[int] = []

    def settle(tx: Transaction, vanished: Collection[CallId], *more: Any) -> Any:
        counts.append(len(vanished))
        return settle_vanished(tx, frozenset(vanished), *more)

    monkeypatch.setattr(reconciler, "SETTLED_AT_ONCE", 2)
    monkeypatch.setattr(reconciler, "settle_vanished", settle)
    for number in range(3):
        await work.talk(CallId(f"c{number}"))
    work.world.now += 5 * SECOND
    work.ami.up.clear()
    await work.rounds()
    assert sorted(work.ended()) == ["c0", "c1", "c2"]
    assert counts == [2, 1]


async def test_the_calls_on_each_trunk_are_counted_in_the_list_while_there_is_one(work: RunningReconciler) -> None:
    def on_trunks(messages: list[str]) -> list[str]:
        for number, trunk in enumerate(("main", "second-1", "second-1")):
            messages.insert(1, f"Event: Status\r\nChannel: PJSIP/trunk-{trunk}-0000000{number}\r\nUniqueid: u{number}")
        return [*messages[:-1], messages[-1].replace("ListItems: 0", "ListItems: 3")]

    work.ami.listed = on_trunks
    await work.rounds(1)
    assert work.reconciler.calls_by_trunk == {"main": 1, "second-1": 2}
    await work.ami.stop()
    await work.until_down()
    assert work.reconciler.calls_by_trunk is None
