"""Routes a call, notes its answer and settles its end: plain functions over a transaction.

Each is keyed by the call's id. A report that is repeated, late or out of order does not change what is settled. State,
credit, call record and callback always commit together.
"""

from dataclasses import dataclass, replace

from engine.callbacks import expired_calls, notifications
from engine.calls import pin_entry
from engine.calls.facts import IncomingCall, asked_for, asked_near_limit, facts_of
from engine.calls.new_calls import put_through, refused
from engine.calls.reported_times import answered_ms_of, reported_moment
from engine.calls.reports import AnswerReport, EndReport
from engine.cdr.refused import record_refused
from engine.cdr.write import CallOutcome, record_call
from engine.domain import call_credit, routing
from engine.domain.booking import Booking
from engine.domain.call_ends import LIMIT_TOLERANCE_MS, answered_end, unanswered_disposition, unanswered_end
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.metering import (
    CallEvent,
    CallState,
    next_state,
    seconds_charged,
    talk_limit_ms,
)
from engine.domain.numbers import ERASED
from engine.domain.policy import Policy
from engine.domain.rejections import GIVEN_UP, UNKNOWN_NUMBER, Reject
from engine.domain.routing import Bridge, Preparation, RouteDecision
from engine.domain.times import EpochMs, Timestamp
from engine.storage.call_path import Called
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
        others_up: Other calls are up on the booking. They may have talked while this one rang, so that the shares of
            what is left are not fair any more.
    """

    must_end: bool = False
    limit_differs: bool = False
    others_up: bool = False


def route_call(
    tx: Transaction, incoming: IncomingCall, at: Timestamp, policy: Policy, *, room_was_made: bool = False
) -> RouteDecision | Preparation:
    """Decides on an incoming call. Leases what a bridged call needs, and records a rejected one.

    Args:
        tx: The transaction.
        incoming: The call.
        at: When it came in.
        policy: The operator's choices.
        room_was_made: Whether the calls that are up have already given back what they can; a Preparation is then never
            the result.

    Returns:
        The decision. Nothing is leased for a Preparation: take seconds back from the calls that are up, or end the
        call that gives way, then route again; nor for AskPin: route again with the PIN.
    """
    incoming = pin_entry.counted(tx, incoming, at.wall_ms)
    asked = asked_for(tx, incoming, at.wall_ms, policy)
    if asked is None:
        _lengthen_quarantines(tx, incoming, at.wall_ms, policy)
        if (answer := pin_entry.answer(tx, incoming, at.wall_ms, policy)) is not None:
            return answer
    else:
        if incoming.pin is not None:
            tx.pins.uncount_try(incoming.service)
        asked = asked_near_limit(tx, asked, incoming, at.wall_ms, policy)
    if asked is not None and asked.call_is_known:
        return _repeated_decision(tx, asked.booking, incoming, at, policy)
    booking = None if asked is None else asked.booking
    facts = facts_of(tx, asked, incoming, at, policy)
    decision = routing.decide(facts, at.wall_ms, policy, room_was_made=room_was_made)
    was_rejected = asked is not None and asked.call_has_record
    if was_rejected and not isinstance(decision, Reject):
        return UNKNOWN_NUMBER  # it has its one record already
    if isinstance(decision, Preparation):
        return decision
    if isinstance(decision, Bridge):
        tx.bookings.update_credit(call_credit.lease(decision.booking, decision.seconds))
        tx.calls.insert(put_through(tx, incoming, decision, at))
    elif booking is not None and decision.disposition is not None and not was_rejected:
        rejected = refused(incoming, booking, at)
        outcome = CallOutcome(decision.disposition, reason=decision.reason)
        cdr = record_refused(tx, booking, rejected, outcome)
        if decision.notify_expired:
            expired_calls.count_expired_call(tx, booking, cdr, at.wall_ms, policy)
    return decision


def _lengthen_quarantines(tx: Transaction, incoming: IncomingCall, now: EpochMs, policy: Policy) -> None:
    """Notes a call that no booking takes: a number that people still call is not given to anybody else."""
    if incoming.sandbox is not None:
        return
    until = EpochMs(now + policy.quarantine_silence_ms)
    tx.numbers.lengthen_quarantine(incoming.service, until)
    if incoming.asserted is not None:
        tx.pairs.lengthen_quarantine(incoming.service, incoming.asserted, now, until)
    if incoming.pin is not None:
        tx.pins.lengthen_quarantine(incoming.service, incoming.pin, now, until)


def note_answer(tx: Transaction, report: AnswerReport, at: Timestamp) -> AnswerNoted:
    """Notes that a call was answered, and queues the callback about its start.

    Asterisk has set the limit by then, from the lease that the call got with its route. Answered time runs from the
    first report; a repeated one changes nothing.

    Args:
        tx: The transaction.
        report: Asterisk's report.
        at: Now, by the engine's clocks.
    """
    answered = reported_moment(report.asterisk_now, at)
    not_before = EpochMs(at.wall_ms + report.limit * 1000)
    if tx.call_path.begin_expected_talk(
        report.call_id,
        report.callee_channel,
        report.limit,
        answered=answered,
        not_before=not_before,
        callee_sip_call_id=report.callee_sip_call_id,
    ):
        return AnswerNoted()
    called = tx.call_path.called(report.call_id)
    if called is None or called.call.ended_at is not None or _has_no_destination(called):
        return AnswerNoted(must_end=True)
    return AnswerNoted() if called.call.answered is not None else _begin_talk(tx, called, report, at)


def _begin_talk(tx: Transaction, called: Called, report: AnswerReport, at: Timestamp) -> AnswerNoted:
    """Makes a ringing call LIVE, and posts the callback about its start if the account has chosen it."""
    call = called.call
    answered = reported_moment(report.asterisk_now, at, since=call.started_ticks)
    state = next_state(call.state, CallEvent.ANSWERED)
    tx.calls.update(
        replace(
            call,
            state=state,
            callee_channel=report.callee_channel,
            answered=answered,
            callee_sip_call_id=report.callee_sip_call_id,
        )
    )
    answered_at = EpochMs(at.wall_ms - (at.boot_ms - answered.boot_ms))
    notifications.notify_call_started(tx, called, answered_at, at.wall_ms)
    limit_ms = talk_limit_ms(call.seconds_leased, 0, called.booking.end_at - answered_at)
    others_up = called.booking.calls.leased > 1
    return AnswerNoted(limit_differs=limit_ms != report.limit * 1000, others_up=others_up)


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
    called = tx.call_path.called(report.call_id)
    if called is None or called.call.ended_at is not None:
        return None
    call, now = called.call, at.wall_ms
    talked_ms = answered_ms_of(report, call, at, late=late)
    if talked_ms and call.answered is None:
        # The report of the answer was lost, so the callback about the start is still due. A report in the end spool may
        # be old, so its own time counts, unless that lies ahead.
        ended_at = min(now, report.asterisk_now) if late and report.asterisk_now is not None else now
        answered_at = EpochMs(max(call.started_at, ended_at - talked_ms))
        notifications.notify_call_started(tx, called, answered_at, now)
        called = called_by(tx, report.call_id)  # one more callback is posted
    return settle(tx, called, _outcome(report, called, talked_ms, at), now, policy)


def _outcome(report: EndReport, called: Called, talked_ms: int, at: Timestamp) -> CallOutcome:
    """Returns how a call ended by Asterisk's report."""
    if not talked_ms:
        disposition, end = unanswered_disposition(report.end), unanswered_end(report.end)
        return CallOutcome(disposition, end=end, ring_ms=report.ring_ms, tried=report.end.tried)
    unused_ms = called.call.seconds_leased * 1000 - talked_ms
    left_ms = min(unused_ms, called.booking.end_at - at.wall_ms)
    return CallOutcome(
        Disposition.ANSWERED,
        seconds_charged(talked_ms, called.call.seconds_leased),
        answered_end(report.end, reached_limit=left_ms <= LIMIT_TOLERANCE_MS),
        report.ring_ms,
        max(0, -unused_ms),
        tried=report.end.tried,
    )


def abandon_call(
    tx: Transaction, call_id: CallId, started_at: EpochMs, now: EpochMs, policy: Policy
) -> Settlement | None:
    """Voids a call whose decision never reached Asterisk.

    Args:
        tx: The transaction.
        call_id: The call.
        started_at: The start that its lease was granted with. If another engine was asked about the call since then,
            it has a later one, and that engine's decision stands.
        now: Now.
        policy: The operator's choices.

    Returns:
        None if there is no such call, or it was answered or has ended.
    """
    called = tx.call_path.called(call_id)
    if called is None or called.call.state is not CallState.RINGING or called.call.started_at != started_at:
        return None
    return settle(tx, called, CallOutcome(Disposition.CANCELLED), now, policy)


def settle(tx: Transaction, called: Called, outcome: CallOutcome, now: EpochMs, policy: Policy) -> Settlement:
    """Ends a call that is up: gives back what it did not use, writes its record and queues its callback."""
    booking, call, answered = called.booking, called.call, outcome.duration > 0
    state = next_state(call.state, CallEvent.ENDED_ANSWERED if answered else CallEvent.ENDED_UNANSWERED)
    settled = call_credit.settle(booking, call.seconds_leased, outcome.duration, answered=answered, now=now)
    # A pair may belong to a session, whose service decides on the callback. The service is not read yet.
    is_posted = answered and bool(booking.callback) and not booking.is_pair
    sequence = _store_credit(tx, called, settled, posted=is_posted)
    tx.calls.end(call, state, charged=outcome.duration, now=now)
    cdr = record_call(tx, booking, call, outcome)
    if answered:
        notifications.notify_call_ended(tx, booking, cdr, now, sequence)
    else:
        notifications.notify_call_missed(tx, called, cdr, now)
    notifications.notify_credit_changed(tx, booking, settled, called.chosen, now, policy)
    return Settlement(cdr, others_up=settled.calls.leased > 0)


def _store_credit(tx: Transaction, called: Called, settled: Booking, *, posted: bool) -> int | None:
    """Stores the credit after a settlement. Returns the number of the callback that follows, if it was counted."""
    if settled.exhausted_at != called.booking.exhausted_at:
        tx.bookings.update(settled)
        return None
    if posted:
        tx.bookings.update_credit_and_count(settled)
        return called.callbacks_posted + 1
    tx.bookings.update_credit(settled)
    return None


def called_by(tx: Transaction, call_id: CallId) -> Called:
    """Returns a stored call with its booking; gone bookings have a row as long as their calls have."""
    called = tx.call_path.called(call_id)
    if called is None:
        raise LookupError(f"call {call_id} has no booking")  # the foreign key forbids it
    return called


def _has_no_destination(called: Called) -> bool:
    return called.booking.gone_at is not None or called.call.destination == ERASED


def _repeated_decision(
    tx: Transaction, booking: Booking, incoming: IncomingCall, at: Timestamp, policy: Policy
) -> RouteDecision:
    """Returns the decision on a call id that was routed before, and gives the call its new start.

    A second engine may be asked about a call because the first did not answer in time. If the first one has given it up
    by then, the caller gets 503, and may take another route. Rejects in case of doubt: a second Asterisk may use the
    same call id for another number.
    """
    called = called_by(tx, incoming.call_id)
    if called.booking.id != booking.id or _has_no_destination(called):
        return UNKNOWN_NUMBER
    if called.call.ended_at is not None:
        return GIVEN_UP if called.call.state is CallState.VOIDED else UNKNOWN_NUMBER
    tx.calls.start_again(called.call, at)
    # The destination of the first decision, which the call record will have: the booking's may have changed meanwhile.
    call = called.call
    return routing.bridge(
        booking, call.destination, call.seconds_leased, call.source, policy, incoming.dead_trunks, call.direction
    )
