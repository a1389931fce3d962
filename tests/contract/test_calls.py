"""Route, answer, end: what a call costs, whatever is reported of it, how often, and in what order."""

import asyncio
import json
from dataclasses import replace

import pytest

from engine.calls.lifecycle import AnswerNoted, call_ended, note_answer
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.metering import Credit
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ALL_SLOTS_HELD, CREDIT_SPENT
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.storage.database import open_storage
from tests.contract.samples import (
    CALLBACK,
    CALLER,
    DAY,
    HIDDEN,
    HOUR,
    SECOND,
    START,
    answer_report,
    end_report,
)
from tests.contract.world import World


async def test_exactly_one_of_fifty_simultaneous_calls_is_bridged_on_credit_for_one(world: World) -> None:
    booking = await world.book()
    decisions = await asyncio.gather(*(world.route(booking.service) for _ in range(50)))
    bridged = [decision for decision in decisions if isinstance(decision, Bridge)]
    assert [decision.seconds for decision in bridged] == [60]
    assert decisions.count(ALL_SLOTS_HELD) == 49
    assert (await world.stored(booking)).seconds == Credit(60, 0, 60, 0)
    [refused] = world.rows("SELECT SUM(1 + further_calls) AS calls FROM cdrs WHERE disposition = 'ALL_SLOTS_HELD'")
    assert refused == {"calls": 49}


async def test_two_engines_on_one_database_bridge_one_call_in_total(world: World) -> None:
    booking = await world.book()
    peer = open_storage(world.database)
    both = (world, replace(world, storage=peer))
    decisions = await asyncio.gather(*(both[n % 2].route(booking.service, f"c{n}") for n in range(50)))
    await peer.close()
    assert sum(isinstance(decision, Bridge) for decision in decisions) == 1


async def test_an_answered_call_writes_debit_record_and_callback(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    world.now += 5 * SECOND
    settlement = await world.talk(booking, CallId("c1"), 12_001)
    assert settlement is not None
    assert (settlement.cdr.booking_id, settlement.others_up) == (booking.id, False)
    assert (settlement.cdr.disposition, settlement.cdr.duration) == (Disposition.ANSWERED, 13)
    stored = await world.stored(booking)
    assert (stored.seconds, stored.calls) == (Credit(300, 287, 0, 13), Credit(10, 9, 0, 1))
    assert world.rows("SELECT * FROM cdrs") == [
        {
            "id": settlement.cdr.id,
            "account_id": world.account,
            "booking_id": booking.id,
            "call_id": "c1",
            "started_at": START + 5 * SECOND,
            "duration": 13,
            "source": CALLER,
            "service": booking.service,
            "destination": HIDDEN,
            "disposition": "ANSWERED",
            "trunk": "main",
            "sip_code": 200,
            "hangup_cause": 16,
            "hung_up_by": "CALLER",
            "sip_call_id": "c1@host",
            "callee_sip_call_id": "c1-callee@host",
            "further_calls": 0,
            **dict.fromkeys(("incoming_trunk", "reason", "tried")),
            "direction": "forward",
            "of_pair": 0,
        }
    ]
    [callback] = world.rows("SELECT * FROM outbox")
    assert (callback["url"], callback["state"], callback["due_at"]) == (CALLBACK, "PENDING", world.now)
    assert json.loads(callback["body"]) == {
        "id": settlement.cdr.id,
        "timestamp": "2026-03-01T12:00:05.000Z",
        "duration": 13,
        "source": CALLER,
        "destination": HIDDEN,
        "bookingId": booking.id,
        "service": booking.service,
        "hungUpBy": "CALLER",
        "hangupCause": 16,
        "sequence": 1,
    }


@pytest.mark.parametrize(
    ("dial_status", "disposition", "end"),
    [
        ("BUSY", "BUSY", ("main", 486, 17, "CALLEE")),
        ("NOANSWER", "NO_ANSWER", ("main", None, None, "LIMIT")),
        ("CANCEL", "CANCELLED", ("main", None, None, "CALLER")),
        ("CHANUNAVAIL", "UNREACHABLE", ("main", 404, 1, "CALLEE")),
    ],
)
async def test_a_call_without_an_answer_costs_nothing_and_frees_its_slot(
    world: World, dial_status: str, disposition: str, end: tuple[str, int | None, int | None, str]
) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    assert await world.route(booking.service, "c2") == ALL_SLOTS_HELD
    settlement = await world.ended(CallId("c1"), 0, dial_status)
    assert settlement is not None
    assert (settlement.cdr.disposition, settlement.cdr.duration) == (disposition, 0)
    stored = await world.stored(booking)
    assert (stored.seconds, stored.calls) == (Credit.new(60), Credit.new(1))
    await world.bridge(booking, "c3")
    assert world.rows("SELECT * FROM outbox") == []
    [record] = world.rows("SELECT * FROM cdrs WHERE call_id = 'c1'")
    assert (record["disposition"], record["duration"]) == (disposition, 0)
    assert tuple(record[name] for name in ("trunk", "sip_code", "hangup_cause", "hung_up_by")) == end
    assert (record["sip_call_id"], record["callee_sip_call_id"]) == ("c1@host", None)


async def test_an_end_that_is_reported_twice_is_settled_once(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    assert await world.talk(booking, CallId("c1"), 12 * SECOND)
    before = await world.stored(booking)
    assert await world.ended(CallId("c1"), 40 * SECOND) is None
    assert await world.ended(CallId("c1"), 0, "BUSY") is None
    assert await world.stored(booking) == before


async def test_one_of_twenty_simultaneous_end_reports_settles_the_call(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    settled = await asyncio.gather(*(world.ended(CallId("c1"), 10 * SECOND) for _ in range(20)))
    assert sum(settlement is not None for settlement in settled) == 1


async def test_a_call_without_an_answer_report_is_still_charged(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    settlement = await world.ended(CallId("c1"), 1)
    assert settlement is not None
    assert (settlement.cdr.disposition, settlement.cdr.duration) == (Disposition.ANSWERED, 1)


async def test_an_answer_that_is_reported_after_the_end_changes_nothing(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    await world.ended(CallId("c1"), 5 * SECOND)
    before = world.rows("SELECT * FROM calls")
    assert await world.answered(CallId("c1")) == 0
    assert world.rows("SELECT * FROM calls") == before


async def test_an_answer_after_the_caller_has_left_costs_nothing(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    assert await world.answered(CallId("c1")) == 60 * SECOND
    settlement = await world.ended(CallId("c1"), 0, "ANSWER")
    assert settlement is not None
    assert (settlement.cdr.disposition, settlement.cdr.duration) == (Disposition.CANCELLED, 0)


async def test_a_report_of_an_unknown_call_changes_nothing(world: World) -> None:
    await world.book()
    assert await world.ended(CallId("never-seen"), 10 * SECOND) is None
    assert await world.answered(CallId("never-seen")) == 0
    assert world.rows("SELECT * FROM cdrs") == world.rows("SELECT * FROM calls") == []


async def test_a_call_measured_past_its_limit_is_charged_its_lease(world: World) -> None:
    booking = await world.book()
    settlement = await world.talk(booking, CallId("c1"), 2 * DAY)
    assert settlement is not None
    assert settlement.cdr.duration == 60
    assert await world.route(booking.service) == CREDIT_SPENT


@pytest.mark.parametrize(("before_end", "limit"), [(60_001, 60_000), (59_999, 59_999), (1, 1), (0, 0), (-1, 0)])
async def test_a_call_may_talk_for_its_lease_but_not_past_the_booking(
    world: World, before_end: int, limit: int
) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    world.now = booking.end_at - before_end
    assert await world.answered(CallId("c1")) == limit


async def test_an_answer_that_is_reported_again_does_not_start_the_time_again(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    assert await world.answered(CallId("c1")) == 60 * SECOND
    before = world.rows("SELECT answered_at, answered_ticks FROM calls")
    world.now += 20 * SECOND
    assert await world.answered(CallId("c1")) == 40 * SECOND
    assert world.rows("SELECT answered_at, answered_ticks FROM calls") == before


@pytest.mark.parametrize(
    ("limit", "before_end", "noted"),
    [
        (60, DAY, AnswerNoted()),
        # The lease was lowered or raised while it rang, and the answer came first.
        (59, DAY, AnswerNoted(limit_differs=True)),
        (61, DAY, AnswerNoted(limit_differs=True)),
        # Asterisk's limit reaches past the booking's end, or would do so by a millisecond.
        (60, 60_000, AnswerNoted()),
        (60, 59_999, AnswerNoted(limit_differs=True)),
        (60, 0, AnswerNoted(limit_differs=True)),
    ],
)
async def test_an_answer_with_another_limit_than_the_call_may_have_is_noticed(
    world: World, limit: int, before_end: int, noted: AnswerNoted
) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    world.now = booking.end_at - before_end
    assert await world.storage.run(note_answer, answer_report("c1", limit), world.at) == noted
    # A repeated report changes nothing, whatever it says.
    assert await world.storage.run(note_answer, answer_report("c1", 5), world.at) == AnswerNoted()
    assert world.rows("SELECT seconds_leased FROM calls") == [{"seconds_leased": 60}]


async def test_an_answer_of_a_call_that_nothing_meters_ends_it(world: World) -> None:
    """It is unknown, settled, or its booking is gone."""
    booking, deleted = await world.book(), await world.book()
    await world.talk(booking, CallId("settled"), SECOND)
    await world.bridge(deleted, "deleted")
    await world.cancel(deleted)
    for call_id in ("unknown", "settled", "deleted"):
        noted = await world.storage.run(note_answer, answer_report(call_id), world.at)
        assert noted == AnswerNoted(must_end=True), call_id


async def test_a_booking_without_a_callback_is_charged_and_sends_none(world: World) -> None:
    booking = await world.renew(await world.book(UsagePlan.MEDIUM), callback="")
    settlement = await world.talk(booking, CallId("c1"), SECOND)
    assert settlement is not None
    assert settlement.cdr.duration == 1
    assert world.rows("SELECT * FROM outbox") == []


@pytest.mark.parametrize("hour", [HOUR, -HOUR])
@pytest.mark.parametrize("whose", ["both", "asterisk", "engine"])
@pytest.mark.parametrize("while_it_rings", [False, True])
async def test_a_call_costs_its_duration_whichever_clock_is_set(
    world: World, hour: int, whose: str, *, while_it_rings: bool
) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    asterisk_ahead = 0

    def step() -> None:
        nonlocal asterisk_ahead
        if whose != "asterisk":  # the boot clock continues unchanged
            world.now, world.clock_step = world.now + hour, world.clock_step - hour
        asterisk_ahead = {"both": 0, "asterisk": hour, "engine": -hour}[whose]

    await world.bridge(booking, "c1")
    if while_it_rings:
        step()
    answered = world.now + asterisk_ahead
    await world.storage.run(note_answer, answer_report("c1", asterisk_now=EpochMs(answered)), world.at)
    world.now += 20 * SECOND
    if not while_it_rings:
        step()
    world.now += 10 * SECOND
    ended = world.now + asterisk_ahead
    report = end_report("c1", ended - answered, asterisk_now=EpochMs(ended))
    settlement = await world.storage.run(call_ended, report, world.at, world.policy)
    assert settlement is not None
    assert settlement.cdr.duration == 30
