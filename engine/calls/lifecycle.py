"""⑦ The use cases of a call: route, answered, ended. Plain functions over a transaction.

Every one is keyed by the call's own id, so that a report that comes twice, late or out of order changes nothing
that was already settled. State, credit, call record and callback always commit together.
"""

from dataclasses import dataclass, replace

from engine.callbacks import expired_calls, notifications
from engine.callbacks.notifications import notify_call_ended
from engine.cdr.write import record_call
from engine.domain import booking as bookings
from engine.domain import routing
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged, without_clock_step
from engine.domain.numbers import E164, ERASED, is_simulated
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, Disposition, Facts, MakeRoom, RouteDecision
from engine.domain.times import HOUR_MS, EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """`call_id`: Asterisk's unique id of the caller's channel. `source`: E.164, as sent, or "anonymous".

    `world`: the account in whose test world the call is simulated; None: it is real.
    """

    call_id: CallId
    service: E164
    source: str
    world: AccountId | None = None


@dataclass(frozen=True, slots=True)
class EndReport:
    """What Asterisk says of a call that ended. `dial_status`: its DIALSTATUS, empty if it was never dialled.

    `answered_ms`: by the wall clock, so negative when that was set back meanwhile; 0: not answered.
    `ended`: when it said so, by the clocks of whoever took it down; `asterisk_now`: by Asterisk's wall clock, if that
    is another.
    """

    call_id: CallId
    answered_ms: int
    dial_status: str
    ended: Timestamp | None = None
    asterisk_now: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """`others_up`: what the call gave back may be of use to others on the booking."""

    booking_id: BookingId
    cdr_id: str
    disposition: Disposition
    duration: int
    others_up: bool


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call that talks, not written down yet, and its booking. `again`: that it was answered is known already."""

    call: Call
    booking: Booking
    again: bool


def route_call(
    tx: Transaction, incoming: IncomingCall, at: Timestamp, policy: Policy, *, room_was_made: bool = False
) -> RouteDecision | MakeRoom:
    """Decide on a call, and lease what a bridged one needs; record what is rejected.

    MakeRoom has written nothing: the caller takes seconds back from other calls and asks again, with
    `room_was_made`; it is then never the answer.
    """
    known = tx.calls.by_id(incoming.call_id)
    if known is not None:
        return _decision_again(tx, known, incoming.service, policy)
    booking = booking_called(tx, incoming)
    facts = facts_of(tx, booking, incoming.source, at.wall_ms)
    decision = routing.decide(facts, at.wall_ms, policy, room_was_made=room_was_made)
    if isinstance(decision, MakeRoom):
        return decision
    if isinstance(decision, Bridge):
        _lease(tx, incoming, decision, at)
    elif booking is not None and decision.disposition is not None and not tx.cdrs.has_call(incoming.call_id):
        cdr = record_call(
            tx,
            booking,
            call_id=incoming.call_id,
            source=incoming.source,
            destination=booking.destination,
            started_at=at.wall_ms,
            duration=0,
            disposition=decision.disposition,
        )
        if decision.notify_expired:
            expired_calls.count_expired_call(tx, booking, cdr, at.wall_ms, policy)
    return decision


def booking_called(tx: Transaction, incoming: IncomingCall) -> Booking | None:
    """Real calls reach real numbers only, simulated ones those of their own world: any other is an unknown number."""
    booking = tx.bookings.holding(incoming.service)
    if booking is None:
        return None
    world = booking.account_id if is_simulated(booking.service) else None
    return booking if world == incoming.world else None


def facts_of(tx: Transaction, booking: Booking | None, source: str, now: EpochMs) -> Facts:
    """What a call from `source` to the number that `booking` holds is decided by. Writes nothing."""
    if booking is None:
        return Facts(None)
    return Facts(
        booking,
        source,
        destination_is_engine_step_ms=tx.numbers.is_ours(booking.destination),
        caller_blocked=tx.blocked.has(booking.id, source),
        caller_calls=tx.calls.of_caller(booking.id, source, EpochMs(now - HOUR_MS)),
    )


def answered_call(
    tx: Transaction, call_id: CallId, callee_channel: str, at: Timestamp, *, asterisk_now: EpochMs | None = None
) -> AnsweredCall | None:
    """Of a call whose callee has answered. None: the call must end (it did already, or its booking is gone).

    Their time runs from the first report; one that comes again does not start it again. `asterisk_now`: `at.now` by
    Asterisk's wall clock, where that is known.
    """
    call = tx.calls.by_id(call_id)
    if call is None or call.ended_at is not None or _leads_nowhere(call, booking := booking_of(tx, call)):
        return None
    if call.answered is None:
        notifications.notify_call_started(tx, booking, call, at.wall_ms, at.wall_ms)
    talking = replace(
        call,
        state=next_state(call.state, CallEvent.ANSWERED),
        callee_channel=callee_channel,
        answered=call.answered or at.with_wall(asterisk_now),
    )
    return AnsweredCall(talking, booking, again=call.answered is not None)


def call_ended(tx: Transaction, report: EndReport, now: EpochMs, policy: Policy) -> Settlement | None:
    """Settle a call exactly once. None: no such lease, or it was settled before."""
    call = tx.calls.by_id(report.call_id)
    if call is None or call.ended_at is not None:
        return None
    talked_ms = _talked_ms(report, call)
    disposition = Disposition.ANSWERED if talked_ms else routing.unanswered_disposition(report.dial_status)
    if talked_ms and call.answered is None:
        # Nobody has reported the answer.
        ended_at = now if report.ended is None else report.ended.wall_ms
        notifications.notify_call_started(
            tx, booking_of(tx, call), call, EpochMs(max(call.started_at, ended_at - talked_ms)), now
        )
    return settle(tx, call, seconds_charged(talked_ms, call.seconds_leased), disposition, now, policy)


def abandon_call(tx: Transaction, call_id: CallId, now: EpochMs, policy: Policy) -> Settlement | None:
    """Give back the lease of a call that was never let through. None: there is none, or it is more than ringing."""
    call = tx.calls.by_id(call_id)
    if call is None or call.state is not CallState.RINGING:
        return None
    return settle(tx, call, 0, Disposition.CANCELLED, now, policy)


def settle(
    tx: Transaction, call: Call, charged: int, disposition: Disposition, now: EpochMs, policy: Policy
) -> Settlement:
    """End a call that is up: give back its lease but for the seconds `charged`, record it, tell its owner."""
    answered = charged > 0
    event = CallEvent.ENDED_ANSWERED if answered else CallEvent.ENDED_UNANSWERED
    state = next_state(call.state, event)
    booking = booking_of(tx, call)
    settled = bookings.settle(booking, call.seconds_leased, charged, answered=answered, now=now)
    if settled.exhausted_at == booking.exhausted_at:
        tx.bookings.update_credit(settled)
    else:
        tx.bookings.update(settled)
    tx.calls.end(call.call_id, state, charged=charged, now=now)
    cdr = record_call(
        tx,
        booking,
        call_id=call.call_id,
        source=call.source,
        destination=call.destination,
        started_at=call.started_at,
        duration=charged,
        disposition=disposition,
    )
    if answered:
        notify_call_ended(tx, booking, cdr, now)
    else:
        notifications.notify_call_missed(tx, booking, cdr, now)
    notifications.notify_credit_changed(tx, booking, settled, now, policy)
    return Settlement(booking.id, cdr.id, disposition, charged, others_up=settled.calls.leased > 0)


def booking_of(tx: Transaction, call: Call) -> Booking:
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


def _leads_nowhere(call: Call, booking: Booking) -> bool:
    return booking.gone_at is not None or call.destination == ERASED


def _decision_again(tx: Transaction, call: Call, service: E164, policy: Policy) -> RouteDecision:
    """Fails closed: a second Asterisk may use the same call id for another number, and a booking may be gone by now."""
    booking = booking_of(tx, call)
    if call.ended_at is not None or _leads_nowhere(call, booking) or booking.service != service:
        return routing.UNKNOWN_NUMBER
    # To where it was let through: that is what its record will say, though its owner may have moved meanwhile.
    led_to = replace(booking, destination=call.destination)
    return routing.bridge(led_to, call.seconds_leased, call.source, policy)


def _lease(tx: Transaction, incoming: IncomingCall, decision: Bridge, at: Timestamp) -> None:
    booking = decision.booking
    tx.bookings.update_credit(bookings.lease(booking, decision.seconds))
    tx.calls.insert(
        Call(
            call_id=incoming.call_id,
            booking_id=booking.id,
            state=CallState.RINGING,
            source=incoming.source,
            destination=booking.destination,
            callee_channel=None,
            seconds_leased=decision.seconds,
            seconds_charged=None,
            started_at=at.wall_ms,
            ended_at=None,
            started_ticks=at.boot_ms,
            answered=None,
            seen_ticks=None,
        )
    )
