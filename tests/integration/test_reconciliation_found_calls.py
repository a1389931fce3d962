"""Reconciliation of calls that talk without a report, and of calls that go on although they are settled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.domain.ids import CallId
from tests.contract.samples import HOUR, SECOND
from tests.integration.database_world import world_on_disk
from tests.integration.fake_channels import FakeChannels
from tests.integration.reconciling import RunningReconciler, Sometimes, running_reconciler, whole, without_calls

GRANTED = 300


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[RunningReconciler]:
    async with (
        world_on_disk(tmp_path) as world,
        FakeChannels() as ami,
        running_reconciler(world, ami, tmp_path / "journal") as work,
    ):
        yield work


async def answered(work: RunningReconciler, call_id: str) -> dict[str, int]:
    async with asyncio.timeout(10):
        while work.states()[call_id] != "LIVE":  # noqa: ASYNC110  a peer, and no event of it
            await asyncio.sleep(0.01)
    [row] = work.world.rows("SELECT answered_at, answered_ticks FROM calls WHERE call_id = ?", call_id)
    return row


async def test_the_talk_time_of_a_found_call_follows_from_its_limit_in_asterisk(work: RunningReconciler) -> None:
    work.ami.answer["Ping"] = f"Response: Success\r\nTimestamp: {(work.world.now + HOUR) / 1000:.6f}"
    work.world.clock_step = 6 * SECOND  # it was answered after six seconds of ringing
    await work.talk(CallId("c1"), answer_is_reported=False)
    work.ami.up["c1"].limit -= 2
    work.world.clock_step += 8 * SECOND
    row = await answered(work, "c1")
    assert row == {
        "answered_at": work.world.now + HOUR - 2 * SECOND,
        "answered_ticks": work.world.at.boot_ms - 2 * SECOND,
    }
    await work.ami.until_limits_set(1)
    # Perhaps twice, since every limit is sent again over a new connection.
    assert {*work.ami.sent()} == {("c1", GRANTED - 2)}


async def test_a_found_call_without_a_known_limit_counts_from_its_arrival(work: RunningReconciler) -> None:
    work.ami.answer["Getvar"] = "Response: Success\r\nValue: 0"
    await work.talk(CallId("c1"), answer_is_reported=False)
    work.world.clock_step += 8 * SECOND
    row = await answered(work, "c1")
    assert row["answered_ticks"] == work.world.at.boot_ms - 8 * SECOND


async def test_a_settled_call_that_goes_on_is_hung_up_after_two_lists(work: RunningReconciler) -> None:
    """It is no longer metered. This happens when its end was overdue while Asterisk was unreachable."""
    booking = await work.talk(CallId("c1"))
    await work.talk(CallId("c2"), booking=booking)
    await work.rounds(3)
    assert work.ami.named("Hangup") == []
    await work.world.ended(CallId("c1"), SECOND)
    await work.ami.wait_for("Hangup")
    assert {hangup["Channel"] for hangup in work.ami.named("Hangup")} == {"c1"}
    assert work.states()["c2"] == "LIVE"


async def test_a_call_settled_just_now_is_left_to_end_by_itself(work: RunningReconciler) -> None:
    """Asterisk lists its channel while its hangup handler runs."""
    await work.talk(CallId("c1"))
    work.ami.listed = Sometimes(whole, without_calls)
    await work.world.ended(CallId("c1"), SECOND)
    await work.rounds(8)
    assert work.ami.named("Hangup") == []
