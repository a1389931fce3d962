"""Puts the trace of a call into words: its verdict, and its steps in the order of time. No sentence has a number."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.cdr.answers import CUSTOMERS_WORDS, OPERATORS_WORDS, Words, codes, why_it_failed, why_not_answered
from engine.cdr.trace import CallTrace, TracedCallback
from engine.domain.call_ends import Attempt, HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.rejections import REJECTIONS, Reason
from engine.domain.retry import CallbackState
from engine.domain.simulation import SIP_OF_CAUSE
from engine.domain.times import EpochMs
from engine.domain.wording import counted
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.outbox import AttemptRecord

REFUSED: Mapping[Reason, str] = {
    Reason.CHANGED_HANDS: "this caller had reached another booking that had the number before",
    Reason.END_REACHED: "the booking had reached its end",
    Reason.SECONDS_SPENT: "the booking had no seconds left",
    Reason.CALLS_SPENT: "the booking had no calls left",
    Reason.ACCOUNT_SUSPENDED: "the operator had suspended the account",
    Reason.NOT_BEGUN: "the booking had not begun",
    Reason.PAUSED: "the booking was paused",
    Reason.OUTSIDE_HOURS: "the booking took no calls at that time of the week",
    Reason.DESTINATION_IS_OURS: "the hidden number was a rented number itself",
    Reason.DESTINATION_NOT_ALLOWED: "the operator did not allow the hidden number any more",
    Reason.NO_LAST_CALLER: "there was no caller whom the hidden number could call back",
    Reason.LAST_CALLER_NOT_ALLOWED: "the number that had called last must not be called",
    Reason.CALLER_BLOCKED: "the booking blocked this caller",
    Reason.ANONYMOUS_REFUSED: "the booking refused callers who withhold their number",
    Reason.CALLER_LIMIT: "this caller had made as many calls within an hour as were allowed",
    Reason.CALLER_RINGING: "as many calls of this caller rang as were allowed at once",
    Reason.CONCURRENCY_LIMIT: "as many calls were up as were allowed at once",
    Reason.ACCOUNT_LIMIT: "as many calls of the account were up as were allowed at once",
    Reason.CALLS_HELD: "the calls that were up held all remaining calls of the booking",
    Reason.SECONDS_HELD: "the calls that were up held all remaining seconds of the booking",
    Reason.NO_TRUNK: "no trunk over which it could leave was up",
}
REFUSED_FOR_CUSTOMERS = {**REFUSED, Reason.NO_TRUNK: "no line of the operator over which it could leave was up"}
# Of records without a reason, which earlier versions wrote.
REFUSED_WITHOUT_REASON: Mapping[Disposition, str] = {
    Disposition.EXPIRED: "the booking was expired",
    Disposition.FORBIDDEN: "the hidden number must not be called",
    Disposition.ALL_SLOTS_HELD: "the calls that were up held all that the booking had left",
}
# Calls that were put through are unreachable as well.
ONLY_REFUSED = {answer.disposition for answer in REJECTIONS.values()} - {Disposition.UNREACHABLE}
ENDED_BY: Mapping[HungUpBy, str] = {
    HungUpBy.CALLER: "the caller hung up",
    HungUpBy.CALLEE: "the hidden number's side hung up",
    HungUpBy.LIMIT: "its time was over",
    HungUpBy.ENGINE: "it was ended, because the booking was deleted or by the operator",
    HungUpBy.UNKNOWN: "it is not known who ended it",
}


class TraceState(StrEnum):
    """Whether a call rings, talks, or has ended."""

    RINGING = "RINGING"
    LIVE = "LIVE"
    ENDED = "ENDED"


class TraceEvent(StrEnum):
    """What happened to a call at one instant."""

    CAME_IN = "came_in"
    REFUSED = "refused"
    PUT_THROUGH = "put_through"
    TRUNK_FAILED = "trunk_failed"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    SETTLED = "settled"
    CALLBACK = "callback"
    CALLBACK_ATTEMPT = "callback_attempt"
    CALLBACK_WAITS = "callback_waits"


# In a sandbox these steps are by the machine's clock, and all others by the sandbox's own.
REAL_TIME = frozenset({TraceEvent.CALLBACK_ATTEMPT, TraceEvent.CALLBACK_WAITS})


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. `at` is None where only the order is known."""

    at: EpochMs | None
    kind: TraceEvent
    message: str


def state_of(trace: CallTrace) -> TraceState:
    """Returns whether the call rings, talks or has ended."""
    if trace.cdr is not None or trace.call is None:
        return TraceState.ENDED
    return TraceState.RINGING if trace.call.answered is None else TraceState.LIVE


def verdict_of(trace: CallTrace, *, for_operator: bool) -> str:
    """Returns one sentence: what was decided on the call, and why."""
    if trace.call is not None:
        return f"Put through; it could last {trace.call.seconds_leased} s."
    assert trace.cdr is not None  # noqa: S101  a call without a lease has a record
    status = caller_got(trace)
    answer = f" The caller got SIP {status}." if status else ""
    further = trace.cdr.further_calls
    likewise = f" Refused likewise in that minute: {counted(further, 'further call')}." if further else ""
    return f"Refused: {_why_refused(trace.cdr, for_operator=for_operator)}.{answer}{likewise}"


def outcome_of(cdr: Cdr, *, for_operator: bool) -> str:
    """Returns one sentence about a call that has its record: what became of it, and why."""
    is_refused = cdr.reason is not None or cdr.disposition in ONLY_REFUSED
    found = _why_refused if is_refused else _how_it_ended
    return f"{'Refused: ' if is_refused else ''}{found(cdr, for_operator=for_operator)}."


def timeline_of(trace: CallTrace, *, for_operator: bool) -> list[Step]:
    """Returns the steps of a call, in the order of time.

    The attempts of a callback follow it at once. In a sandbox they are by another clock than the call.

    Args:
        trace: The trace.
        for_operator: Whether to name trunks and what carriers answered, which customers do not see.
    """
    timeline, to_come = list[Step](), deque(_steps_of_call(trace, for_operator=for_operator))
    for callback in trace.callbacks:
        while to_come and (to_come[0].at is None or to_come[0].at <= callback.record.created_at):
            timeline.append(to_come.popleft())
        timeline += _steps_of_callback(callback)
    return [*timeline, *to_come]


def wait_ms_of(trace: CallTrace) -> int | None:
    """Returns how long the caller waited for an answer, in milliseconds; None while it rings, or if it was refused."""
    call = trace.call
    if call is None:
        return None
    until = call.answered.wall_ms if call.answered else call.ended_at
    return None if until is None else max(0, until - call.started_at)


def caller_got(trace: CallTrace) -> int | None:
    """Returns the SIP status that the caller of a refused call got; None for a call that was put through."""
    cdr = trace.cdr
    if trace.call is not None or cdr is None:
        return None
    by_reason = REJECTIONS.get(cdr.reason) if cdr.reason else None
    answer = by_reason or next((each for each in REJECTIONS.values() if each.disposition is cdr.disposition), None)
    return SIP_OF_CAUSE[answer.cause] if answer else None


def _why_refused(cdr: Cdr, *, for_operator: bool) -> str:
    words = REFUSED if for_operator else REFUSED_FOR_CUSTOMERS
    if cdr.reason is not None:
        return words.get(cdr.reason, cdr.reason.value)
    only = [reason for reason, answer in REJECTIONS.items() if answer.disposition is cdr.disposition]
    if cdr.disposition in REFUSED_WITHOUT_REASON or not only:
        return REFUSED_WITHOUT_REASON.get(cdr.disposition, cdr.disposition.value)
    return words[only[0]]


def _steps_of_call(trace: CallTrace, *, for_operator: bool) -> Iterator[Step]:
    known = trace.known
    over = f" over trunk {known.incoming_trunk}" if for_operator and known.incoming_trunk else ""
    yield Step(known.started_at, TraceEvent.CAME_IN, f"The call came in{over}.")
    call, cdr = trace.call, trace.cdr
    if call is None:
        yield Step(known.started_at, TraceEvent.REFUSED, verdict_of(trace, for_operator=for_operator))
        return
    yield Step(call.started_at, TraceEvent.PUT_THROUGH, verdict_of(trace, for_operator=for_operator))
    yield from _ringing(trace, call)
    if for_operator and cdr is not None:
        yield from (
            Step(None, TraceEvent.TRUNK_FAILED, _worded(_failed(attempt), cdr.direction)) for attempt in cdr.tried
        )
    if call.answered is not None:
        over = f" over trunk {cdr.end.trunk}" if for_operator and cdr and cdr.end.trunk else ""
        yield Step(
            call.answered.wall_ms,
            TraceEvent.ANSWERED,
            _worded(f"The hidden number's side answered{over}.", call.direction),
        )
    if cdr is not None:
        ended_at = call.ended_at
        yield Step(ended_at, TraceEvent.ENDED, f"{_how_it_ended(cdr, for_operator=for_operator)}.")
        yield Step(ended_at, TraceEvent.SETTLED, f"{cdr.duration} s of {call.seconds_leased} s were charged.")


def _ringing(trace: CallTrace, call: Call) -> Iterator[Step]:
    wait_ms = wait_ms_of(trace)
    lasted = "It is dialled and rings." if wait_ms is None else f"Dialling and ringing took {wait_ms / 1000:.1f} s."
    yield Step(call.started_at, TraceEvent.RINGING, lasted)


def _failed(attempt: Attempt) -> str:
    name = f"Trunk {attempt.trunk}" if attempt.trunk else "The attempt"
    return f"{name}: {why_it_failed(attempt)}, {attempt.dial_status}{codes(attempt.sip_code, attempt.cause)}."


def _worded(sentence: str, direction: Direction) -> str:
    """Returns a sentence about who was called: of a reverse call, that was not the hidden number."""
    return sentence if direction is Direction.FORWARD else re.sub("(?<=[Tt]he )hidden(?= number)", "called", sentence)


def _how_it_ended(cdr: Cdr, *, for_operator: bool) -> str:
    return _worded(_end_of(cdr, OPERATORS_WORDS if for_operator else CUSTOMERS_WORDS), cdr.direction)


def _end_of(cdr: Cdr, words: Words) -> str:
    by = ENDED_BY[cdr.end.hung_up_by or HungUpBy.UNKNOWN]
    if cdr.disposition is Disposition.LOST:
        return "No report of its end arrived"
    found = codes(cdr.end.sip_code, cdr.end.cause)
    if cdr.disposition is Disposition.ANSWERED:
        return f"The call ended: {by}{found}"
    return f"Not answered: {why_not_answered(cdr, words) or by}{found}"


def _steps_of_callback(callback: TracedCallback) -> Iterator[Step]:
    record = callback.record
    yield Step(record.created_at, TraceEvent.CALLBACK, f"Callback {callback.kind} was created: {record.id}.")
    for attempt in callback.attempts:
        yield Step(attempt.began_at, TraceEvent.CALLBACK_ATTEMPT, f"Attempt {attempt.attempt}: {_outcome(attempt)}.")
    if record.state is CallbackState.PENDING:
        at, text = (None, "An attempt is under way") if record.claimed else (record.due_at, "The next attempt is due")
        yield Step(at, TraceEvent.CALLBACK_WAITS, f"{text}.")
    elif record.state is not CallbackState.DELIVERED:
        given_up = record.state is CallbackState.FAILED
        text = "It was given up" if given_up else "It is held, because its endpoint is disabled"
        yield Step(record.finished_at, TraceEvent.CALLBACK_WAITS, f"{text}.")


def _outcome(attempt: AttemptRecord) -> str:
    got = f"HTTP {attempt.status}" if attempt.status is not None else attempt.trouble or "no answer"
    return f"{got} after {attempt.took_ms} ms"
