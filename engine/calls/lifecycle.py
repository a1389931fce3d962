"""Routes a call, notes its answer and settles its end: plain functions over a transaction.

Each is keyed by the call's id. A report that is repeated, late or out of order does not change what is settled. State,
credit, call record and callback always commit together.
"""

from dataclasses import dataclass, replace

from engine.callbacks import expired_calls, notifications
from engine.cdr.write import CallOutcome, record_call
from engine.domain import booking as bookings
from engine.domain import routing
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged, without_clock_step
from engine.domain.numbers import E164, ERASED, is_simulated
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, Disposition, Facts, MakeRoom, RouteDecision
from engine.domain.times import HOUR_MS, EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that asks for its route.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        service: The dialled number.
        source: The caller: E.164, as sent, or "anonymous".
        sandbox: The account whose sandbox simulates the call; None for a real call.
    """

    call_id: CallId
    service: E164
    source: str
    sandbox: AccountId | None = None


@dataclass(frozen=True, slots=True)
class EndReport:
    """Asterisk's report of a call that ended.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        answered_ms: How long the call was answered, by Asterisk's wall clock: negative if that clock was set back
            meanwhile, 0 if the call was not answered.
        dial_status: Asterisk's DIALSTATUS; empty if nothing was dialled.
        ended: When the report was received or spooled, by the clocks of the machine that did it.
        asterisk_now: The same moment by Asterisk's wall clock, in epoch milliseconds, if that is a different clock.
    """

    call_id: CallId
    answered_ms: int
    dial_status: str
    ended: Timestamp | None = None
    asterisk_now: EpochMs | None = None


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
class AnsweredCall:
    """A call that is answered. Nothing of it is written to the database yet.

    Attributes:
        call: The call in its new state.
        booking: The booking that was called.
        is_repeat: Whether the answer was reported before.
    """

    call: Call
    booking: Booking
    is_repeat: bool


def route_call(
    tx: Transaction, incoming: IncomingCall, at: Timestamp, policy: Policy, *, room_was_made: bool = False
) -> RouteDecision | MakeRoom:
    """Decides on an incoming call. Leases what a bridged call needs, and records a rejected one.

    Args:
        tx: The transaction.
        incoming: The call.
        at: When it came in.
        policy: The operator's choices.
        room_was_made: Whether talking calls have already given back what they can; MakeRoom is then never the result.

    Returns:
        The decision. Nothing is written for MakeRoom: take seconds back from talking calls, then route again with
        `room_was_made`.
    """
    known = tx.calls.by_id(incoming.call_id)
    if known is not None:
        return _repeated_decision(tx, known, incoming.service, policy)
    booking = booking_called(tx, incoming)
    facts = facts_of(tx, booking, incoming.source, at.wall_ms)
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


def booking_called(tx: Transaction, incoming: IncomingCall) -> Booking | None:
    """Returns the booking that holds the dialled number, or None.

    Real calls reach real numbers only, and simulated calls only numbers of their own sandbox.
    """
    booking = tx.bookings.holding(incoming.service)
    if booking is None:
        return None
    sandbox = booking.account_id if is_simulated(booking.service) else None
    return booking if sandbox == incoming.sandbox else None


def facts_of(tx: Transaction, booking: Booking | None, source: str, now: EpochMs) -> Facts:
    """Reads what the decision on a call from `source` to `booking` depends on. Writes nothing."""
    if booking is None:
        return Facts(None)
    return Facts(
        booking,
        source,
        destination_is_ours=tx.numbers.is_ours(booking.destination),
        caller_blocked=tx.blocked.has(booking.id, source),
        caller_calls=tx.calls.of_caller(booking.id, source, EpochMs(now - HOUR_MS)),
    )


def answered_call(
    tx: Transaction, call_id: CallId, callee_channel: str, at: Timestamp, *, asterisk_now: EpochMs | None = None
) -> AnsweredCall | None:
    """Returns the call in its answered state, and queues the callback about its start.

    Answered time runs from the first report; a repeated report does not restart it. The caller writes the call.

    Args:
        tx: The transaction.
        call_id: The call.
        callee_channel: Asterisk's unique id or name of the callee's channel, which carries the limit.
        at: When the answer was reported.
        asterisk_now: `at.wall_ms` by Asterisk's wall clock, if known.

    Returns:
        None if the call must end: it has ended already, or its booking is gone.
    """
    call = tx.calls.by_id(call_id)
    if call is None or call.ended_at is not None or _has_no_destination(call, booking := booking_of(tx, call)):
        return None
    is_repeat = call.answered is not None
    if not is_repeat:
        notifications.notify_call_started(tx, booking, call, at.wall_ms, at.wall_ms)
    talking = replace(
        call,
        state=next_state(call.state, CallEvent.ANSWERED),
        callee_channel=callee_channel,
        answered=call.answered or at.with_wall(asterisk_now),
    )
    return AnsweredCall(talking, booking, is_repeat)


def call_ended(tx: Transaction, report: EndReport, now: EpochMs, policy: Policy) -> Settlement | None:
    """Settles a call by Asterisk's report of its end. Returns None if there is no such call, or it is settled."""
    call = tx.calls.by_id(report.call_id)
    if call is None or call.ended_at is not None:
        return None
    talked_ms = _talked_ms(report, call)
    disposition = Disposition.ANSWERED if talked_ms else routing.unanswered_disposition(report.dial_status)
    if talked_ms and call.answered is None:
        # The report of the answer was lost, so the callback about the start is still due.
        ended_at = now if report.ended is None else report.ended.wall_ms
        notifications.notify_call_started(
            tx, booking_of(tx, call), call, EpochMs(max(call.started_at, ended_at - talked_ms)), now
        )
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


def _talked_ms(report: EndReport, call: Call) -> int:
    if report.ended is None or call.answered is None:
        return without_clock_step(report.answered_ms, engine_step_ms=0, asterisk_step_ms=0)
    came_in = Timestamp(call.started_at, call.started_ticks)
    return without_clock_step(
        report.answered_ms,
        engine_step_ms=report.ended.wall_ahead_ms - came_in.wall_ahead_ms,
        asterisk_step_ms=report.ended.with_wall(report.asterisk_now).wall_ahead_ms - call.answered.wall_ahead_ms,
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
