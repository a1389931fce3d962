"""An answered call and a missed call are reported exactly once, whoever reports them and however often."""

import json

import pytest

from engine.calls import lifecycle as calls
from engine.calls.reconciliation import FoundTalking, begin_found, settle_vanished
from engine.domain.booking import Booking
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ALL_SLOTS_HELD
from engine.domain.times import EpochMs, rfc3339
from tests.contract.notifying import Body, kinds, reported
from tests.contract.samples import CALLER, DAY, HIDDEN, HOUR, SECOND, START, answer_report, end_report
from tests.contract.world import World


def of_call(booking: Booking, at: EpochMs) -> Body:
    return {
        "timestamp": rfc3339(at),
        "source": CALLER,
        "destination": HIDDEN,
        "bookingId": booking.id,
        "service": booking.service,
    }


async def test_an_answered_call_is_reported_at_its_answer_and_at_its_end(all_events: World) -> None:
    booking = await all_events.book()
    await all_events.bridge(booking, "c1")
    all_events.now += 8 * SECOND
    assert await all_events.answered(CallId("c1")) > 0
    [started] = reported(all_events)
    assert started == {
        "type": "call.started",
        "answeredAt": rfc3339(EpochMs(START + 8 * SECOND)),
        **of_call(booking, START),
        "sequence": 1,
    }
    assert await all_events.answered(CallId("c1")) > 0  # reported again
    all_events.now += 5 * SECOND
    await all_events.ended(CallId("c1"), 5_000)
    assert await all_events.ended(CallId("c1"), 5_000) is None
    assert kinds(all_events) == ["call.started", None]
    assert reported(all_events)[1]["timestamp"] == started["timestamp"]


async def test_a_call_found_talking_is_reported_as_started_at_its_answer(all_events: World) -> None:
    booking = await all_events.book()
    bridge = await all_events.bridge(booking, "c1")
    all_events.now += 10 * SECOND
    found = FoundTalking(CallId("c1"), "PJSIP/trunk-1", bridge.seconds)
    left = bridge.seconds * SECOND - 4 * SECOND
    for _ in range(2):
        await all_events.storage.run(begin_found, found, all_events.at, left_ms=left, asterisk_now=None)
    await all_events.answered(CallId("c1"))
    [started] = reported(all_events)
    assert (started["type"], started["answeredAt"]) == ("call.started", rfc3339(EpochMs(all_events.now - 4 * SECOND)))


@pytest.mark.parametrize(
    ("asterisk_ahead_ms", "answered_at"),
    [
        (0, START + 9 * SECOND),
        # By a wrong clock it was answered before it came in, or has not ended yet.
        (-HOUR, START),
        (2 * DAY, START + DAY - 3 * SECOND),
    ],
)
async def test_a_call_without_an_answer_report_is_reported_as_started_at_its_end(
    all_events: World, asterisk_ahead_ms: int, answered_at: int
) -> None:
    booking = await all_events.book()
    await all_events.bridge(booking, "c1")
    report = end_report("c1", 3_000, asterisk_now=EpochMs(START + asterisk_ahead_ms + 12 * SECOND))
    all_events.now += DAY  # it stood in the end spool until now
    await all_events.storage.run(calls.call_ended, report, all_events.at, all_events.policy, late=True)
    assert kinds(all_events) == ["call.started", None]
    assert reported(all_events)[0]["answeredAt"] == rfc3339(EpochMs(answered_at))


async def test_an_event_has_the_engines_time_even_if_asterisks_clock_is_wrong(all_events: World) -> None:
    booking = await all_events.book()
    await all_events.bridge(booking, "c1")
    wrong = all_events.now + 5 * HOUR
    await all_events.storage.run(calls.note_answer, answer_report("c1", asterisk_now=EpochMs(wrong)), all_events.at)
    [row] = all_events.rows("SELECT body, due_at FROM outbox")
    assert (json.loads(row["body"])["answeredAt"], row["due_at"]) == (rfc3339(START), START)


@pytest.mark.parametrize(
    ("dial_status", "disposition", "end"),
    [
        ("BUSY", "BUSY", {"sipCode": 486, "hungUpBy": "CALLEE", "hangupCause": 17}),
        ("NOANSWER", "NO_ANSWER", {"hungUpBy": "LIMIT"}),
        ("CANCEL", "CANCELLED", {"hungUpBy": "CALLER"}),
        ("CONGESTION", "UNREACHABLE", {"sipCode": 503, "hungUpBy": "CALLEE", "hangupCause": 34}),
    ],
)
async def test_an_unanswered_call_is_reported_once_with_its_reason(
    all_events: World, dial_status: str, disposition: str, end: dict[str, object]
) -> None:
    booking = await all_events.book()
    await all_events.bridge(booking, "c1")
    all_events.now += 30 * SECOND
    for _ in range(2):
        await all_events.ended(CallId("c1"), 0, dial_status)
    [missed] = reported(all_events)
    [record] = all_events.rows("SELECT id FROM cdrs")
    assert missed == {
        "type": "call.missed",
        "id": record["id"],
        "disposition": disposition,
        **of_call(booking, START),
        **end,
        "sequence": 1,
    }


async def test_a_lost_call_that_only_rang_is_reported_as_missed(all_events: World) -> None:
    booking = await all_events.book()
    for name in ("vanished", "overdue"):
        await all_events.bridge(booking, name)
    for _ in range(2):
        await all_events.storage.run(settle_vanished, {CallId("vanished")}, all_events.now, all_events.policy)
    all_events.now += HOUR
    for _ in range(2):
        await all_events.sweep()
    assert [(body["type"], body["disposition"]) for body in reported(all_events)] == [
        ("call.missed", Disposition.LOST)
    ] * 2


async def test_every_bridged_call_ends_with_one_callback_and_a_refused_one_with_none(
    all_events: World,
) -> None:
    booking = await all_events.book(UsagePlan.MEDIUM)
    for name in ("c1", "c2"):
        await all_events.bridge(booking, name)
    assert await all_events.route(booking.service) == ALL_SLOTS_HELD
    await all_events.ended(CallId("c1"), 0, "BUSY")
    await all_events.answered(CallId("c2"))
    await all_events.ended(CallId("c2"), 1_000)
    assert kinds(all_events) == ["call.missed", "call.started", None]
