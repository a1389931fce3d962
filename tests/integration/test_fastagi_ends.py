"""The answers of `answered` and `ended` to Asterisk, over real sockets and a real database."""

import asyncio

import pytest

from engine.domain.ids import BookingId
from engine.domain.policy import UsagePlan
from tests.contract.world import World
from tests.integration.agi_fixtures import agi, world
from tests.integration.fake_asterisk import (
    CALL_ID,
    HANGUP,
    FastAgi,
)

__all__ = ["agi", "world"]


@pytest.mark.parametrize(
    ("after_ms", "variables"),
    [
        (0, {"RN_LIMIT": "set"}),
        (59_999, {"RN_LIMIT": "set"}),
        (60_000, {"RN_LIMIT": "none"}),
    ],
)
async def test_a_repeated_answered_report_keeps_the_limit_or_ends_the_call(
    agi: FastAgi, world: World, after_ms: int, variables: dict[str, str]
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    first = await agi.call("answered", CALL_ID, booking.id).run()
    assert first.variables == {"TIMEOUT(absolute)": "60.000", "RN_LIMIT": "set"}
    world.now += after_ms
    assert (await agi.call("answered", CALL_ID, booking.id).run()).variables == variables


@pytest.mark.parametrize("call_id", ["", "unknown"])
async def test_answered_for_an_unknown_call_ends_it(agi: FastAgi, call_id: str) -> None:
    assert (await agi.call("answered", call_id).run()).variables == {"RN_LIMIT": "none"}


@pytest.mark.parametrize(
    ("milliseconds", "dial_status", "duration", "disposition"),
    [
        ("1", "ANSWER", 1, "ANSWERED"),
        ("1001", "ANSWER", 2, "ANSWERED"),
        ("61000", "ANSWER", 60, "ANSWERED"),
        ("", "BUSY", 0, "BUSY"),
        ("0", "NOANSWER", 0, "NO_ANSWER"),
        ("", "CANCEL", 0, "CANCELLED"),
        ("", "CONGESTION", 0, "UNREACHABLE"),
        ("", "", 0, "UNREACHABLE"),
    ],
)
async def test_ended_settles_the_talk_time(
    agi: FastAgi, world: World, milliseconds: str, dial_status: str, duration: int, disposition: str
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.call("answered", CALL_ID, booking.id).run()
    world.now += int(milliseconds or 0)
    channel = await agi.call("ended", CALL_ID, milliseconds, dial_status).run()
    assert channel.variables == {"RN_SETTLED": "yes"}
    assert world.rows("SELECT duration, disposition FROM cdrs") == [{"duration": duration, "disposition": disposition}]


async def test_concurrent_end_reports_settle_once(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await asyncio.gather(*(agi.call("ended", CALL_ID, "1500", "ANSWER").run() for _ in range(20)))
    assert [row["duration"] for row in world.rows("SELECT duration FROM cdrs")] == [2]
    assert len(agi.woken) == 1


@pytest.mark.parametrize("milliseconds", ["--1", "1.5", "١٢", "1e3", "9" * 13, "x", " 1"])
async def test_an_end_with_a_bad_duration_is_refused_and_the_lease_stays_for_the_sweep(
    agi: FastAgi, world: World, milliseconds: str
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.call("ended", CALL_ID, milliseconds, "ANSWER").run()
    assert agi.leases() == 1


async def test_a_call_settles_when_the_callees_channel_goes_at_answered(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.call("answered", CALL_ID, booking.id, replies={0: HANGUP}).run()
    await agi.call("ended", CALL_ID, "", "ANSWER").run()
    assert (agi.leases(), (await world.stored(booking)).calls.remaining) == (0, 1)


async def test_the_answer_is_recorded_by_asterisks_wall_clock(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.call("answered", CALL_ID, booking.id, "20260301130000250").run()
    assert world.rows("SELECT answered_at FROM calls") == [{"answered_at": 1_772_370_000_250}]


def to_be_shared(agi: FastAgi) -> set[BookingId]:
    """Return the bookings that were reported to the limit keeper since the last call."""
    told = set(agi.context.limits._changed)
    agi.context.limits._changed.clear()
    return told


async def test_an_end_returns_its_unused_lease_to_live_calls(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2"):
        await agi.incoming(booking.service, call_id).run()
    assert to_be_shared(agi) == set()
    await agi.call("ended", "c1", "", "BUSY").run()
    assert to_be_shared(agi) == {booking.id}
    await agi.incoming(booking.service, "c3", replies={0: HANGUP}).run()
    await agi.until_idle()
    assert to_be_shared(agi) == {booking.id}
    await agi.call("ended", "c2", "", "BUSY").run()
    assert to_be_shared(agi) == set()


async def test_seconds_that_a_call_could_not_use_return_to_the_other_calls(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2", "c3", "c4", "c5"):
        await agi.incoming(booking.service, call_id).run()
        await agi.call("answered", call_id, booking.id).run()
    to_be_shared(agi)
    assert (await agi.incoming(booking.service, "c6").run()).variables["RN_CAUSE"] == "17"
    assert to_be_shared(agi) == {booking.id}
