"""Reports of answers and ends, over a real socket and from the end spool, into a real database."""

import asyncio

import pytest

from engine.calls.report_intake import AT_ONCE, MAX_QUEUED
from engine.domain.ids import BookingId
from engine.domain.policy import UsagePlan
from tests.contract.samples import SECOND
from tests.contract.test_group_commit import hold
from tests.contract.world import World
from tests.integration.agi_fixtures import agi, world
from tests.integration.fake_asterisk import CALL_ID, HANGUP, FastAgi
from tests.integration.fake_reports import answered, ended, spool, with_mac

__all__ = ["agi", "world"]

CALLEE = f"{CALL_ID}-callee"


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
        ("", "ANSWER", 0, "CANCELLED"),
    ],
)
@pytest.mark.parametrize("way", ["event", "spool", "both"])
async def test_an_end_settles_the_talk_time_once_by_whichever_way_it_comes(
    agi: FastAgi, world: World, way: str, milliseconds: str, dial_status: str, duration: int, disposition: str
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    if milliseconds:
        await agi.answered(booking)
    world.now += int(milliseconds or 0)
    report = ended(CALL_ID, booking.id, milliseconds, dial_status, world.now)
    if way != "event":
        spool(agi.spool, report)
    if way != "spool":
        await agi.parts.report(report)
    assert await agi.parts.spool.take_in() == (way == "spool")
    assert world.rows("SELECT duration, disposition FROM cdrs") == [{"duration": duration, "disposition": disposition}]
    assert agi.leases() == 0


async def test_concurrent_end_reports_settle_once(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    report = ended(CALL_ID, booking.id, 1500)
    spool(agi.spool, *[report] * 20)
    taken_in = asyncio.gather(*(agi.parts.spool.take_in() for _ in range(3)))
    await asyncio.gather(*(agi.parts.report(report) for _ in range(20)))
    assert sum(await taken_in) <= 1
    assert [row["duration"] for row in world.rows("SELECT duration FROM cdrs")] == [2]
    assert len(agi.woken) == 1


GOOD = ("ended", CALL_ID, "bkg_1", "1000", "ANSWER", "20260301120000250")
BAD: dict[str, str] = {
    **{f"answered {ms!r} ms": with_mac(" ".join((*GOOD[:3], ms, *GOOD[4:]))) for ms in ("--1", "1.5", "1e3", "x")},
    "13 digits": with_mac(" ".join((*GOOD[:3], "9" * 13, *GOOD[4:]))),
    "Arabic digits": with_mac(" ".join((*GOOD[:3], "١٢", *GOOD[4:]))),
    "one space more": with_mac(" ".join((*GOOD[:3], "", *GOOD[3:]))),
    "a status in small letters": with_mac(" ".join((*GOOD[:4], "answer", GOOD[5]))),
    "no call": with_mac(" ".join((GOOD[0], "", *GOOD[2:]))),
    "too few fields": with_mac(" ".join(GOOD[:5])),
    "another kind": with_mac(" ".join(("begun", *GOOD[1:]))),
    "no MAC": " ".join(GOOD),
    "an empty MAC": " ".join((*GOOD, "")),
    "the MAC of another token": with_mac(" ".join(GOOD), "another-token"),
    "the MAC of another report": with_mac(" ".join(GOOD)).replace(" 1000 ", " 1001 "),
    "a MAC in capitals": " ".join(GOOD) + " " + with_mac(" ".join(GOOD)).rpartition(" ")[2].upper(),
    "a NUL": with_mac(" ".join(GOOD) + "\0"),
    "nothing": "",
}


@pytest.mark.parametrize("report", BAD.values(), ids=BAD)
async def test_a_bad_report_is_counted_and_settles_nothing(agi: FastAgi, world: World, report: str) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.parts.report(report)
    spool(agi.spool, report)
    assert await agi.parts.spool.take_in() == 0
    assert (agi.leases(), agi.parts.intake.refused) == (1, 1)
    spooled = ["end_spool_line_unreadable"] if report else []
    assert [entry["event"] for entry in agi.logged] == ["call_routed", "report_refused", *spooled]


async def test_many_refused_reports_are_logged_once_a_minute(agi: FastAgi) -> None:
    for _ in range(50):
        await agi.parts.ami.report(BAD["no MAC"])
    await agi.parts.report(BAD["nothing"])
    assert agi.parts.intake.refused == 51
    assert len([entry for entry in agi.logged if entry["event"] == "report_refused"]) == 1


@pytest.mark.parametrize("clock", ["20260301130000250", "", "20261301130000250", "2026030113000025"])
async def test_the_answer_is_recorded_by_asterisks_wall_clock_if_that_can_be_read(
    agi: FastAgi, world: World, clock: str
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.answered(booking, now=clock)
    expected = 1_772_370_000_250 if clock == "20260301130000250" else world.now
    assert world.rows("SELECT answered_at, callee_channel FROM calls") == [
        {"answered_at": expected, "callee_channel": CALLEE}
    ]


async def test_a_repeated_answer_changes_nothing(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.answered(booking)
    before = world.rows("SELECT * FROM calls")
    world.now += 10 * SECOND
    await agi.answered(booking)
    assert world.rows("SELECT * FROM calls") == before


@pytest.mark.parametrize("settled", [False, True])
async def test_an_answered_call_that_nothing_meters_is_hung_up(agi: FastAgi, world: World, *, settled: bool) -> None:
    booking = await world.book()
    if settled:
        await agi.incoming(booking.service).run()
        await agi.ended(booking, "", "CANCEL")
    await agi.answered(booking)
    keeping = asyncio.create_task(agi.parts.keeper.run(agi.stop))
    await agi.parts.ami.wait_for("Hangup")
    agi.stop.set()
    await keeping
    assert [action["Channel"] for action in agi.parts.ami.named("Hangup")] == [CALL_ID]


async def test_an_end_before_its_answer_counts_and_the_answer_does_not(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service).run()
    await agi.ended(booking, 1500)
    await agi.answered(booking)
    assert world.rows("SELECT duration, disposition FROM cdrs") == [{"duration": 2, "disposition": "ANSWERED"}]
    assert world.rows("SELECT state FROM calls") == [{"state": "SETTLED"}]


def to_be_shared(agi: FastAgi) -> set[BookingId]:
    """Return the bookings that were reported to the limit keeper since the last call."""
    changed = set(agi.parts.keeper._changed)
    agi.parts.keeper._changed.clear()
    return changed


async def test_an_end_returns_its_unused_lease_to_live_calls(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2"):
        await agi.incoming(booking.service, call_id).run()
    assert to_be_shared(agi) == set()
    await agi.ended(booking, "", "BUSY", "c1")
    assert to_be_shared(agi) == {booking.id}
    await agi.incoming(booking.service, "c3", replies={0: HANGUP}).run()
    await agi.until_idle()
    assert to_be_shared(agi) == {booking.id}
    await agi.ended(booking, "", "BUSY", "c2")
    assert to_be_shared(agi) == set()


async def test_seconds_that_a_call_could_not_use_return_to_the_other_calls(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2", "c3", "c4", "c5"):
        await agi.incoming(booking.service, call_id).run()
        await agi.answered(booking, call_id)
    to_be_shared(agi)
    assert (await agi.incoming(booking.service, "c6").run()).variables["RN_CAUSE"] == "17"
    assert to_be_shared(agi) == {booking.id}


async def test_reports_beyond_a_full_queue_are_dropped_and_the_spool_has_their_ends(agi: FastAgi, world: World) -> None:
    """The database stands still, and more reports come than the queue holds."""
    booking = await world.book()
    await agi.incoming(booking.service).run()
    intake = agi.parts.intake
    held = await hold(world.storage)
    other = answered("unknown", booking.id, CALLEE, 1)
    for _ in range(AT_ONCE + MAX_QUEUED + 10):
        intake.take(other)
        if not intake.taken % AT_ONCE:
            await asyncio.sleep(0)
    end = ended(CALL_ID, booking.id, 1500)
    spool(agi.spool, end)
    intake.take(end)
    assert len(intake._queue) == MAX_QUEUED
    assert intake.dropped >= 11
    await held.release()
    await intake.until_noted()
    assert agi.leases() == 1
    assert await agi.parts.spool.take_in() == 1
    assert (agi.leases(), [row["duration"] for row in world.rows("SELECT duration FROM cdrs")]) == (0, [2])
