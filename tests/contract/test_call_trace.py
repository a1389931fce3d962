"""The trace of a call: its verdict in words, its steps in the order of time, its own callbacks with their attempts."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from api.schemas.traces import TraceBody
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.reconciliation import settle_overdue
from engine.cdr.answers import CUSTOMERS_WORDS, OPERATORS_WORDS
from engine.cdr.refused import OWN_RECORDS
from engine.cdr.timeline import ENDED_BY, REFUSED, REFUSED_FOR_CUSTOMERS, outcome_of, verdict_of
from engine.cdr.trace import CallTrace, trace_call
from engine.domain.booking import Booking
from engine.domain.call_ends import GIVES_WAY, Attempt, DialplanEnd
from engine.domain.dispositions import Disposition
from engine.domain.errors import NotFound
from engine.domain.explanation import SENTENCES
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import NotificationRules, UsagePlan
from engine.domain.rejections import REJECTIONS, Reason
from engine.domain.retry import HttpAnswer
from engine.domain.times import EpochMs
from engine.storage.reads import Reads
from tests.contract.notifying import sweep
from tests.contract.samples import CALLER, DAY, HIDDEN, HOUR, SECOND, end_report
from tests.contract.world import World
from tests.integration.callback_sending import attempt_due

FAILED_OVER = DialplanEnd("ANSWER", "west", (Attempt("east", "CONGESTION", 503, 34),), "callee", 16)


async def traced(world: World, named: str, **options: Any) -> CallTrace:
    async with Reads(world.database) as reads:
        return await trace_call(reads, named, world.policy, **options)


async def shown(world: World, named: str, *, for_operator: bool = True) -> dict[str, Any]:
    body = TraceBody.of(await traced(world, named), for_operator=for_operator)
    text = body.model_dump_json()
    assert HIDDEN[-6:] not in text
    return body.model_dump(mode="json")


def steps(trace: dict[str, Any]) -> list[tuple[str | None, str]]:
    """Return the seconds of each step, and its event."""
    return [(step["at"] and step["at"][17:19], step["event"]) for step in trace["timeline"]]


def messages(trace: dict[str, Any]) -> str:
    return "\n".join(step["message"] for step in trace["timeline"])


async def ring(world: World, booking: Booking, call_id: str = "c1", trunk: str | None = "north") -> None:
    incoming = IncomingCall(CallId(call_id), booking.service, CALLER, trunk=trunk)
    await world.storage.run(calls.route_call, incoming, world.at, world.policy, room_was_made=True)


async def end(world: World, answered_ms: int, dial: str | DialplanEnd, call_id: str = "c1") -> None:
    report = (
        end_report(call_id, answered_ms) if isinstance(dial, DialplanEnd) else end_report(call_id, answered_ms, dial)
    )
    report = replace(report, end=dial) if isinstance(dial, DialplanEnd) else report
    await world.storage.run(calls.call_ended, report, world.at, world.policy)


async def test_an_answered_call_has_each_step_at_its_time_and_each_attempt_of_its_callbacks(all_events: World) -> None:
    world = all_events
    booking = await world.book()
    await ring(world, booking)
    ringing = await shown(world, "c1")
    assert (ringing["id"], ringing["state"], ringing["waitMs"], ringing["endedAt"]) == (None, "RINGING", None, None)
    assert steps(ringing) == [("00", "came_in"), ("00", "put_through"), ("00", "ringing")]
    world.now += 8 * SECOND
    await world.answered(CallId("c1"))
    live = await shown(world, "c1")
    assert (live["state"], live["waitMs"], live["disposition"]) == ("LIVE", 8_000, None)
    assert [callback["type"] for callback in live["callbacks"]] == ["call.started"]
    world.now += 5 * SECOND
    await end(world, 5_000, FAILED_OVER)
    world.now += SECOND
    assert len(await world.storage.run(attempt_due, world.now, HttpAnswer(503), "busy")) == 2
    trace = await shown(world, "c1")
    assert await shown(world, trace["id"]) == trace
    assert steps(trace) == [
        ("00", "came_in"),
        ("00", "put_through"),
        ("00", "ringing"),
        (None, "trunk_failed"),
        ("08", "answered"),
        ("08", "callback"),
        ("14", "callback_attempt"),
        ("14", "callback_waits"),
        ("13", "ended"),
        ("13", "settled"),
        ("13", "callback"),
        ("14", "callback_attempt"),
        ("14", "callback_waits"),
    ]
    assert "over trunk north" in messages(trace)
    assert (
        "Trunk east: the carrier cannot take calls now, CONGESTION, SIP 503, cause 34 (no circuit available)."
        in messages(trace)
    )
    assert "the hidden number's side hung up, SIP 200, cause 16 (normal call clearing)" in messages(trace)
    assert messages(trace).count("Attempt 1: HTTP 503 after 5 ms.") == 2
    assert (trace["duration"], trace["secondsLeased"], trace["hungUpBy"]) == (5, live["secondsLeased"], "CALLEE")
    customers = await shown(world, "c1", for_operator=False)
    assert not any(name in str(customers) for name in ("north", "east", "west"))


def _failed(status: str, sip_code: int | None, cause: int | None, trunk: str = "main") -> DialplanEnd:
    dialled = "CHANUNAVAIL" if status in {"SILENT", "FULL"} else status
    return DialplanEnd(dialled, trunk or None, (Attempt(trunk, status, sip_code, cause),), cause=34)


UNANSWERED: list[tuple[str | DialplanEnd, str, str]] = [
    ("BUSY", "BUSY", "Not answered: the hidden number was busy, or declined the call, SIP 486, cause 17 (user busy)."),
    ("NOANSWER", "NO_ANSWER", "Not answered: nobody picked up, or the telephone is switched off or has no network."),
    ("CANCEL", "CANCELLED", "Not answered: the caller hung up."),
    (
        DialplanEnd("CANCEL"),
        "CANCELLED",
        "Not answered: it was ended, because the booking was deleted or by the operator.",
    ),
    (DialplanEnd("CANCEL", cause=GIVES_WAY), "GAVE_WAY", "Not answered: it gave way to a newer call"),
    ("CONGESTION", "UNREACHABLE", "Not answered: the carrier cannot take calls now, SIP 503, cause 34"),
    # What Asterisk and SIPp really gave: a softphone that is not registered, a port where nobody listens, 404 and 403.
    (_failed("CHANUNAVAIL", None, 3, trunk=""), "UNREACHABLE", f"Not answered: {OPERATORS_WORDS.switched_off}, cause"),
    (_failed("SILENT", None, None), "UNREACHABLE", "Not answered: the carrier gave no answer."),
    (
        _failed("CHANUNAVAIL", 404, 1),
        "UNREACHABLE",
        "Not answered: the carrier does not know the hidden number, SIP 404",
    ),
    (_failed("CHANUNAVAIL", 403, 21), "UNREACHABLE", "Not answered: the carrier does not allow this call, for example"),
    (_failed("CHANUNAVAIL", 421, 127), "UNREACHABLE", "Not answered: the carrier refused the call, SIP 421, cause 127"),
    (_failed("CHANUNAVAIL", 513, 34), "UNREACHABLE", "Not answered: the carrier has failed, SIP 513, cause 34"),
    (
        _failed("CHANUNAVAIL", None, 3),
        "UNREACHABLE",
        "Not answered: Asterisk has no address of the carrier that can be",
    ),
    (_failed("FULL", None, None), "UNREACHABLE", "Not answered: as many calls were up on the trunk as it may have."),
    (_failed("NOANSWER", 480, 19), "NO_ANSWER", "switched off or has no network, SIP 480, cause 19 (no answer)."),
]


@pytest.mark.parametrize(("dial", "disposition", "words"), UNANSWERED, ids=[words for *_, words in UNANSWERED])
async def test_an_unanswered_call_says_why(world: World, dial: str | DialplanEnd, disposition: str, words: str) -> None:
    await ring(world, await world.book(), trunk=None)
    world.now += 12 * SECOND
    await end(world, 0, dial)
    trace = await shown(world, "c1")
    assert (trace["disposition"], trace["waitMs"], trace["duration"]) == (disposition, 12_000, 0)
    assert words in messages(trace)
    assert trace["timeline"][0]["message"] == "The call came in."
    customers, record = await shown(world, "c1", for_operator=False), (await traced(world, "c1")).cdr
    assert record is not None
    assert words in outcome_of(record, for_operator=True)
    said = f"{messages(customers)} {outcome_of(record, for_operator=False)}"
    assert OF_THE_OPERATOR.findall(said) == []
    assert customers | {"timeline": []} == trace | {"timeline": []}


# What customers need not know, or cannot know, in the sentences about their calls.
OF_THE_OPERATOR = re.compile(r"carrier|trunk|asterisk|\bour\b|credit|password|codec|engine", re.IGNORECASE)


def test_customers_read_nothing_of_what_is_between_the_operator_and_the_carrier() -> None:
    assert set(OPERATORS_WORDS.by_status) == set(CUSTOMERS_WORDS.by_status)
    ours, theirs = (str(asdict(words)) for words in (CUSTOMERS_WORDS, OPERATORS_WORDS))
    sentences = (*REFUSED_FOR_CUSTOMERS.values(), *ENDED_BY.values(), *SENTENCES.values())
    assert OF_THE_OPERATOR.findall(ours + " ".join(sentences)) == []
    assert OF_THE_OPERATOR.findall(theirs) != [], "the search proves nothing"


async def run_out(world: World, booking: Booking) -> None:
    world.now = booking.end_at


async def spend_the_seconds(world: World, booking: Booking) -> None:
    await world.talk(booking, CallId("before"), 60 * SECOND)


async def spend_the_calls(world: World, booking: Booking) -> None:
    await world.talk(booking, CallId("before"), SECOND)


async def pause(world: World, booking: Booking) -> None:
    patch = BookingPatch(paused=True)
    await world.storage.run(bookings.change, world.account, booking.id, patch, world.now, world.policy)


async def hold_the_call(world: World, booking: Booking) -> None:
    await ring(world, booking, "before")


REFUSALS: list[tuple[Callable[[World, Booking], Awaitable[None]], Reason, int]] = [
    (run_out, Reason.END_REACHED, 410),
    (spend_the_seconds, Reason.SECONDS_SPENT, 410),
    (spend_the_calls, Reason.CALLS_SPENT, 410),
    (pause, Reason.PAUSED, 480),
    (hold_the_call, Reason.CALLS_HELD, 486),
]


@pytest.mark.parametrize(("happens", "reason", "sip"), REFUSALS, ids=[reason for _, reason, _ in REFUSALS])
async def test_a_refused_call_keeps_its_reason(
    world: World, happens: Callable[[World, Booking], Awaitable[None]], reason: Reason, sip: int
) -> None:
    booking = await world.book()
    await happens(world, booking)
    await ring(world, booking)
    trace = await shown(world, "c1")
    assert (trace["putThrough"], trace["reason"], trace["state"]) == (False, reason, "ENDED")
    assert trace["message"] == f"Refused: {REFUSED[reason]}. The caller got SIP {sip}."
    assert [event for _, event in steps(trace)][:2] == ["came_in", "refused"]
    assert trace["endedAt"] == trace["timestamp"]
    assert [callback["type"] for callback in trace["callbacks"]] == ["call.expired"] * (sip == 410)


def test_every_recorded_refusal_has_words() -> None:
    assert set(REFUSED) == {reason for reason, answer in REJECTIONS.items() if answer.disposition is not None}


EARLIER = {
    Disposition.CHANGED_HANDS: f"{REFUSED[Reason.CHANGED_HANDS]}. The caller got SIP 404.",
    Disposition.EXPIRED: "the booking was expired. The caller got SIP 410.",
    Disposition.ACCOUNT_SUSPENDED: "the operator had suspended the account. The caller got SIP 480.",
    Disposition.OUTSIDE_HOURS: f"{REFUSED[Reason.OUTSIDE_HOURS]}. The caller got SIP 480.",
    Disposition.NOT_BEGUN: "the booking had not begun. The caller got SIP 480.",
    Disposition.PAUSED: "the booking was paused. The caller got SIP 480.",
    Disposition.FORBIDDEN: "the hidden number must not be called. The caller got SIP 403.",
    Disposition.ALL_SLOTS_HELD: "the calls that were up held all that the booking had left. The caller got SIP 486.",
    Disposition.CONCURRENCY_LIMIT: f"{REFUSED[Reason.CONCURRENCY_LIMIT]}. The caller got SIP 486.",
    Disposition.CALLER_RINGING: f"{REFUSED[Reason.CALLER_RINGING]}. The caller got SIP 486.",
    Disposition.ACCOUNT_LIMIT: f"{REFUSED[Reason.ACCOUNT_LIMIT]}. The caller got SIP 486.",
    Disposition.CALLER_LIMIT: f"{REFUSED[Reason.CALLER_LIMIT]}. The caller got SIP 403.",
    Disposition.CALLER_BLOCKED: f"{REFUSED[Reason.CALLER_BLOCKED]}. The caller got SIP 403.",
    Disposition.ANONYMOUS_REFUSED: f"{REFUSED[Reason.ANONYMOUS_REFUSED]}. The caller got SIP 403.",
    Disposition.NO_LAST_CALLER: f"{REFUSED[Reason.NO_LAST_CALLER]}. The caller got SIP 480.",
    Disposition.UNREACHABLE: f"{REFUSED[Reason.NO_TRUNK]}. The caller got SIP 503.",
}


async def test_a_refusal_that_an_earlier_version_recorded_without_a_reason_has_words_too(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at
    await ring(world, booking)
    trace = await traced(world, "c1")
    assert trace.cdr is not None
    earlier = {each: replace(trace, cdr=replace(trace.cdr, disposition=each, reason=None)) for each in EARLIER}
    assert {each: verdict_of(trace, for_operator=True) for each, trace in earlier.items()} == {
        each: f"Refused: {words}" for each, words in EARLIER.items()
    }
    assert set(EARLIER) == {answer.disposition for answer in REJECTIONS.values()} - {None}
    assert {TraceBody.of(trace).reason for trace in earlier.values()} == {None}


async def test_a_call_has_only_its_own_callbacks_also_when_it_was_reported_later(world: World) -> None:
    world.policy = replace(world.policy, notifications=NotificationRules(expired_callbacks=1))
    booking = await world.book()
    world.now = booking.end_at
    for call_id in ("told", "left-out", "suppressed"):
        await ring(world, booking, call_id)
    world.now += HOUR + SECOND
    await sweep(world)
    found = {call_id: (await traced(world, call_id)).callbacks for call_id in ("told", "left-out", "suppressed")}
    assert {call_id: len(callbacks) for call_id, callbacks in found.items()} == {
        "told": 1,
        "left-out": 0,
        "suppressed": 1,
    }
    assert found["told"][0].record.id != found["suppressed"][0].record.id


async def test_a_record_that_stands_for_further_refused_calls_says_so(world: World) -> None:
    booking = await world.book()
    await pause(world, booking)
    for number in range(OWN_RECORDS + 2):
        await ring(world, booking, f"c{number}")
    trace = await shown(world, f"c{OWN_RECORDS - 1}")
    assert trace["message"].endswith("SIP 480. Refused likewise in that minute: 2 further calls.")
    with pytest.raises(NotFound):
        await traced(world, f"c{OWN_RECORDS}")


async def test_a_call_whose_end_was_lost_says_so(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await ring(world, booking)
    await world.answered(CallId("c1"))
    world.now += DAY
    await world.storage.run(settle_overdue, world.at, world.policy, 10)
    trace = await shown(world, "c1")
    assert (trace["disposition"], trace["hungUpBy"]) == (Disposition.LOST, "UNKNOWN")
    assert "No report of its end arrived." in messages(trace)


async def test_an_unknown_call_and_that_of_another_account_are_not_found(world: World) -> None:
    booking = await world.book()
    await ring(world, booking)
    for named, account in (("c9", None), ("cdr_" + "0" * 32, None), ("c1", AccountId("acc_other"))):
        with pytest.raises(NotFound, match="there is no such call"):
            await traced(world, named, account_id=account)
    assert (await traced(world, "c1", account_id=world.account)).call is not None
    await end(world, 0, "BUSY")
    record = (await traced(world, "c1")).cdr
    assert record is not None
    with pytest.raises(NotFound):
        await traced(world, record.id, account_id=AccountId("acc_other"))
    assert record.started_at <= EpochMs(world.now)
