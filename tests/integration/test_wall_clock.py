"""When our wall clock or Asterisk's is set, every limit is sent again, and calls end by boot time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.asterisk.wall_clock import CHECK_SECONDS, ClockOffset, ClockWatch
from engine.domain.ids import CallId
from tests.contract.samples import HOUR, SECOND
from tests.integration.database_world import WorldClock, world_on_disk
from tests.integration.exchange import Exchange, at_work
from tests.integration.fake_ami import SUCCESS
from tests.integration.fake_channels import FakeChannels


def says(ami: FakeChannels, now: int) -> None:
    ami.answer["Ping"] = f"{SUCCESS}\r\nPing: Pong\r\nTimestamp: {now / 1000:.6f}"


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Two calls talk, and Asterisk's clock was read twice."""
    async with world_on_disk(tmp_path) as world, FakeChannels() as ami:
        says(ami, world.now)
        async with at_work(world, ami) as exchange:
            stop = asyncio.Event()
            watching = asyncio.create_task(ClockWatch(exchange.link, WorldClock(world), exchange.keeper).run(stop))
            await exchange.talk(CallId("c1"))
            await exchange.talk(CallId("c2"))
            await exchange.until_leased(c1=60, c2=60)
            await ami.wait_for("Ping", 2)
            yield exchange
            stop.set()
            await watching


@pytest.mark.parametrize("hour", [HOUR, -HOUR])
async def test_every_limit_is_sent_again_when_our_clock_is_set(watched: Exchange, hour: int) -> None:
    """Bookings end by our clock."""
    sent = len(watched.ami.limits_set)
    watched.world.now += hour
    watched.world.clock_step -= hour
    await watched.ami.until_limits_set(sent + 2)
    assert sorted(watched.ami.sent()[sent:]) == [("c1", 60), ("c2", 60)]


@pytest.mark.parametrize("hour", [HOUR, -HOUR])
async def test_every_limit_is_sent_again_once_when_asterisks_clock_is_set(watched: Exchange, hour: int) -> None:
    """Asterisk keeps limits by its clock."""
    sent = len(watched.ami.limits_set)
    says(watched.ami, watched.world.now + hour)
    await watched.ami.until_limits_set(sent + 2)
    await asyncio.sleep(2 * CHECK_SECONDS)
    assert sorted(watched.ami.sent()[sent:]) == [("c1", 60), ("c2", 60)]


async def test_a_slewed_or_unknown_clock_is_not_treated_as_set(watched: Exchange) -> None:
    sent = len(watched.ami.limits_set)
    says(watched.ami, watched.world.now + 400)
    await asyncio.sleep(1.5 * CHECK_SECONDS)
    for nonsense in (SUCCESS, f"{SUCCESS}\r\nTimestamp: nan", f"{SUCCESS}\r\nTimestamp: inf", "Response: Error"):
        watched.ami.answer["Ping"] = nonsense
        await asyncio.sleep(1.2 * CHECK_SECONDS)
    assert watched.ami.sent()[sent:] == []


async def test_a_call_that_talks_past_its_lease_is_cut_by_boot_time(watched: Exchange) -> None:
    """Even if Asterisk does not apply the limit."""
    sent = len(watched.ami.limits_set)
    watched.world.now += 62 * SECOND - 1
    await watched.keeper.review()
    await asyncio.sleep(0.2)
    assert watched.ami.sent()[sent:] == []
    watched.world.now += 1
    await watched.keeper.review()
    await watched.ami.until_limits_set(sent + 2)
    assert sorted(watched.ami.sent()[sent:]) == [("c1", 0.01), ("c2", 0.01)]


@pytest.mark.parametrize(
    ("before", "after", "was_set"),
    [
        (ClockOffset(0, 0), ClockOffset(500, 500), False),
        (ClockOffset(0, 0), ClockOffset(501, 501), True),
        (ClockOffset(0, 0), ClockOffset(-501, -501), True),
        (ClockOffset(0, 2_000), ClockOffset(2_400, 2_600), False),
        (ClockOffset(0, 0), ClockOffset(400, 3_000), False),
        (ClockOffset(0, 2_000), ClockOffset(2_501, 2_600), True),
    ],
)
def test_a_slow_answer_gives_only_a_certain_offset(before: ClockOffset, after: ClockOffset, *, was_set: bool) -> None:
    assert after.was_set_since(before) is was_set
