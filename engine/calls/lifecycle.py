"""Routes a call, notes its answer and settles its end: plain functions over a transaction.

Each is keyed by the call's id. A report that is repeated, late or out of order does not change what is settled. State,
credit, call record and callback always commit together.
"""

from dataclasses import dataclass, replace

from engine.callbacks import expired_calls, notifications
from engine.calls.facts import IncomingCall, booking_called, facts_of
from engine.calls.reports import AnswerReport, EndReport
from engine.cdr.write import CallOutcome, record_call
from engine.domain import booking as bookings
from engine.domain import routing
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.metering import (
    CallEvent,
    CallState,
    least_without_clock_step,
    next_state,
    seconds_charged,
    talk_limit_ms,
    without_clock_step,
)
from engine.domain.numbers import E164, ERASED
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, Disposition, MakeRoom, RouteDecision
from engine.domain.times import EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result of a call's end.

    Attributes:
        cdr: The call's record.
        others_up: Whether other calls are up on the booking, which may use what this call gave back.
    """

    cdr: Cdr
    others_up: bool


@dataclass(frozen=True, slots=True)
class AnswerNoted:
    """What follows from the report of an answer.

    Attributes:
        must_end: The call must end: it is settled or unknown, or its booking is gone.
        limit_differs: Asterisk's limit is not the one that the call must have.
    """

    must_end: bool = False
    limit_differs: bool = False


def route_call(
    tx: Transaction, incoming: IncomingCall, at: Timestamp, policy: Policy, *, room_was_made: bool = False
) -> RouteDecision | MakeRoom:
    """Decides on an incoming call. Leases what a bridged call needs, and records a rejected one.

    Args:
        tx: The transaction.
        incoming: The call.
        at: When it came in.
        policy: The operator's choices.
        room_was_made: Whether the calls that are up have already given back what they can; MakeRoom is then never the
            result.

    Returns:
        The decision. Nothing is written for MakeRoom: take seconds back from the calls that are up, then route again
        with `room_was_made`.
    """
    known = tx.calls.by_id(incoming.call_id)
    if known is not None:
        return _repeated_decision(tx, known, incoming.service, policy)
    booking = booking_called(tx, incoming)
    facts = facts_of(tx, booking, incoming.source, at, policy)
    decision = routing.decide(facts, at.wall_ms, policy, room_was_made=room_was_made)
    if isinstance(decision, MakeRoom):
        return decision
    if isinstance(decision, Bridge):
        tx.bookings.update_credit(bookings.lease(decision.booking, decision.seconds))
        tx.calls.insert(_new_call(incoming, decision.booking, at, CallState.RINGING, seconds_leased=decision.seconds))
    elif booking is not None and decision.disposition is not None and not tx.cdrs.has_call(incoming.call_id):
        rejected = _new_call(incoming, booking, at, CallState.VOIDED)
        cdr = record_call(tx, booking, rejected, CallOutcome(decision.disposition))
        if decision.notify_expired:
            expired_calls.count_expired_call(tx, booking, cdr, at.wall_ms, policy)
    return decision


def note_answer(tx: Transaction, report: AnswerReport, at: Timestamp) -> AnswerNoted:
    """Notes that a call was answered, and queues the callback about its start.

    Asterisk has set the limit by then, from the lease that the call got with its route. Answered time runs from the
    first report; a repeated one changes nothing.

    Args:
        tx: The transaction.
        report: Asterisk's report.
        at: Now, by the engine's clocks.
    """
    call = tx.calls.by_id(report.call_id)
    if call is None or call.ended_at is not None or _has_no_destination(call, booking := booking_of(tx, call)):
        return AnswerNoted(must_end=True)
    if call.answered is not None:
        return AnswerNoted()
    answered = at.with_wall(report.asterisk_now)
    talking = replace(
        call,
        state=next_state(call.state, CallEvent.ANSWERED),
        callee_channel=report.callee_channel,
        answered=answered,
    )
    tx.calls.update(talking)
    notifications.notify_call_started(tx, booking, call, at.wall_ms, at.wall_ms)
    limit_ms = talk_limit_ms(call.seconds_leased, 0, booking.end_at - at.wall_ms)
    return AnswerNoted(limit_differs=limit_ms != report.limit * 1000)


def call_ended(
    tx: Transaction, report: EndReport, at: Timestamp, policy: Policy, *, late: bool = False
) -> Settlement | None:
    """Settles a call by Asterisk's report of its end.

    Args:
        tx: The transaction.
        report: Asterisk's report.
        at: Now, by the engine's clocks.
        policy: The operator's choices.
        late: Whether the report may be old, because it was found in the end spool.

    Returns:
        None if there is no such call, or it is settled.
    """
    call = tx.calls.by_id(report.call_id)
    if call is None or call.ended_at is not None:
        return None
    now, talked_ms = at.wall_ms, _talked_ms(report, call, at, late=late)
    disposition = Disposition.ANSWERED if talked_ms else routing.unanswered_disposition(report.dial_status)
    if talked_ms and call.answered is None:
        # The report of the answer was lost, so the callback about the start is still due.
        answered_at = EpochMs(max(call.started_at, now - talked_ms))
        notifications.notify_call_started(tx, booking_of(tx, call), call, answered_at, now)
    charged = seconds_charged(talked_ms, call.seconds_leased)
    return settle(tx, call, CallOutcome(disposition, charged), now, policy)


def abandon_call(tx: Transaction, call_id: CallId, now: EpochMs, policy: Policy) -> Settlement | None:
    """Voids a call whose decision never reached Asterisk.

    Returns None if there is no such call, or it was answered or has ended.
    """
    call = tx.calls.by_id(call_id)
    if call is None or call.state is not CallState.RINGING:
        return None
    return settle(tx, call, CallOutcome(Disposition.CANCELLED), now, policy)


def settle(tx: Transaction, call: Call, outcome: CallOutcome, now: EpochMs, policy: Policy) -> Settlement:
    """Ends a call that is up: gives back what it did not use, writes its record and queues its callback."""
    answered = outcome.duration > 0
    event = CallEvent.ENDED_ANSWERED if answered else CallEvent.ENDED_UNANSWERED
    state = next_state(call.state, event)
    booking = booking_of(tx, call)
    settled = bookings.settle(booking, call.seconds_leased, outcome.duration, answered=answered, now=now)
    if settled.exhausted_at == booking.exhausted_at:
        tx.bookings.update_credit(settled)
    else:
        tx.bookings.update(settled)
    tx.calls.end(call.call_id, state, charged=outcome.duration, now=now)
    cdr = record_call(tx, booking, call, outcome)
    if answered:
        notifications.notify_call_ended(tx, booking, cdr, now)
    else:
        notifications.notify_call_missed(tx, booking, cdr, now)
    notifications.notify_credit_changed(tx, booking, settled, now, policy)
    return Settlement(cdr, others_up=settled.calls.leased > 0)


def booking_of(tx: Transaction, call: Call) -> Booking:
    """Returns the booking of a stored call; gone bookings have a row as long as their calls have."""
    booking = tx.bookings.by_id(call.booking_id)
    if booking is None:
        raise LookupError(f"call {call.call_id} has no booking")  # the foreign key forbids it
    return booking


def _talked_ms(report: EndReport, call: Call, at: Timestamp, *, late: bool) -> int:
    """Returns how long the call was answered: by Asterisk's measurement, without the steps of its wall clock."""
    engine_step_ms = at.wall_ahead_ms - Timestamp(call.started_at, call.started_ticks).wall_ahead_ms
    if late or report.asterisk_now is None or call.answered is None:
        return least_without_clock_step(report.answered_ms, engine_step_ms)
    return without_clock_step(
        report.answered_ms,
        engine_step_ms=engine_step_ms,
        asterisk_step_ms=at.with_wall(report.asterisk_now).wall_ahead_ms - call.answered.wall_ahead_ms,
    )


def _has_no_destination(call: Call, booking: Booking) -> bool:
    return booking.gone_at is not None or call.destination == ERASED


def _repeated_decision(tx: Transaction, call: Call, service: E164, policy: Policy) -> RouteDecision:
    """Returns the decision on a call id that was routed before.

    Rejects in case of doubt: a second Asterisk may use the same call id for another number, and the booking may be gone
    by now.
    """
    booking = booking_of(tx, call)
    if call.ended_at is not None or _has_no_destination(call, booking) or booking.service != service:
        return routing.UNKNOWN_NUMBER
    # The destination of the first decision, which the call record will have: the booking's may have changed meanwhile.
    as_routed = replace(booking, destination=call.destination)
    return routing.bridge(as_routed, call.seconds_leased, call.source, policy)


def _new_call(
    incoming: IncomingCall, booking: Booking, at: Timestamp, state: CallState, *, seconds_leased: int = 0
) -> Call:
    return Call(
        call_id=incoming.call_id,
        booking_id=booking.id,
        state=state,
        source=incoming.source,
        destination=booking.destination,
        callee_channel=None,
        seconds_leased=seconds_leased,
        seconds_charged=None,
        started_at=at.wall_ms,
        ended_at=None,
        started_ticks=at.boot_ms,
        answered=None,
        seen_ticks=None,
    )
