"""⑦ The use cases of a call: route, answered, ended. Plain functions over a transaction.

Every one is keyed by the call's own id, so that a report that comes twice, late or out of order changes nothing
that was already settled. State, credit, call record and callback always commit together.
"""

from dataclasses import dataclass, replace

from engine.domain import booking as bookings
from engine.domain import events, routing
from engine.domain.booking import Booking
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged, talk_limit_ms
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, Disposition, RouteDecision
from engine.ids import new_id
from engine.storage.rows import Call, Cdr
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """`call_id`: Asterisk's unique id of the caller's channel. `source`: E.164, as sent, or "anonymous"."""

    call_id: str
    channel: str
    service: str
    source: str


@dataclass(frozen=True, slots=True)
class EndReport:
    """What Asterisk says of a call that ended. `dial_status`: its DIALSTATUS, empty if it was never dialled."""

    call_id: str
    answered_ms: int
    dial_status: str


@dataclass(frozen=True, slots=True)
class Settlement:
    cdr_id: str
    disposition: Disposition
    duration: int


def route_call(tx: Transaction, incoming: IncomingCall, now: int, policy: Policy) -> RouteDecision:
    """Decide on a call, and lease what a bridged one needs; record what is rejected."""
    known = tx.calls.by_id(incoming.call_id)
    if known is not None:
        return _decision_again(tx, known, incoming.service, policy)
    booking = tx.bookings.holding(incoming.service)
    is_ours = booking is not None and tx.numbers.exists(booking.destination)
    decision = routing.decide(booking, destination_is_ours=is_ours, now=now, policy=policy)
    if isinstance(decision, Bridge):
        _lease(tx, incoming, decision, now, policy)
    elif booking is not None and decision.disposition is not None:
        _record_rejected(tx, incoming, booking, decision.disposition, now)
        if decision.notify_expired:
            _tell_expired(tx, incoming, booking, now)
    return decision


def call_answered(tx: Transaction, call_id: str, now: int, policy: Policy) -> int:
    """Note that the callee has answered. Returns how many milliseconds they may talk from now; 0: the call must end.

    The time runs from the first report; one that comes again does not start it again.
    """
    call = tx.calls.by_id(call_id)
    if call is None or call.ended_at is not None:
        return 0
    booking = _booking_of(tx, call)
    state = next_state(call.state, CallEvent.ANSWERED)
    answered_at = now if call.answered_at is None else call.answered_at
    talk_ms = talk_limit_ms(call.seconds_leased, booking.end_at - answered_at) - (now - answered_at)
    limit = 0 if booking.gone_at is not None else max(0, talk_ms)
    overdue_at = now + limit + policy.lost_call_margin_ms
    tx.calls.update(replace(call, state=state, answered_at=answered_at, overdue_at=overdue_at))
    return limit


def call_ended(tx: Transaction, report: EndReport, now: int) -> Settlement | None:
    """Settle a call exactly once. None: no such lease, or it was settled before."""
    call = tx.calls.by_id(report.call_id)
    if call is None or call.ended_at is not None:
        return None
    answered = report.answered_ms > 0
    disposition = Disposition.ANSWERED if answered else routing.unanswered_disposition(report.dial_status)
    charged = seconds_charged(report.answered_ms, call.seconds_leased) if answered else 0
    return _settle(tx, call, charged, disposition, now)


def settle_lost_calls(tx: Transaction, now: int, at_most: int) -> list[Settlement]:
    """Settle calls whose end was never reported though it must long have come.

    The rule: one that was answered may have used all of its lease, and is charged that; one that only rang is free.
    """
    return [
        _settle(tx, call, call.seconds_leased if call.state is CallState.LIVE else 0, Disposition.LOST, now)
        for call in tx.calls.overdue(now, at_most)
    ]


def _decision_again(tx: Transaction, call: Call, service: str, policy: Policy) -> RouteDecision:
    """Fails closed: a second Asterisk may use the same call id for another number, and a booking may be gone by now."""
    booking = _booking_of(tx, call)
    if call.ended_at is not None or booking.gone_at is not None or booking.service != service:
        return routing.UNKNOWN_NUMBER
    return Bridge(booking, call.seconds_leased, policy.ring_seconds)


def _lease(tx: Transaction, incoming: IncomingCall, decision: Bridge, now: int, policy: Policy) -> None:
    booking = decision.booking
    tx.bookings.update(bookings.lease(booking, decision.seconds))
    longest_ms = (decision.ring_seconds + decision.seconds) * 1000
    tx.calls.insert(
        Call(
            call_id=incoming.call_id,
            booking_id=booking.id,
            state=CallState.RINGING,
            source=incoming.source,
            destination=booking.destination,
            channel=incoming.channel,
            seconds_leased=decision.seconds,
            seconds_charged=None,
            started_at=now,
            answered_at=None,
            ended_at=None,
            overdue_at=now + longest_ms + policy.lost_call_margin_ms,
        )
    )


def _settle(tx: Transaction, call: Call, charged: int, disposition: Disposition, now: int) -> Settlement:
    answered = charged > 0
    event = CallEvent.ENDED_ANSWERED if answered else CallEvent.ENDED_UNANSWERED
    state = next_state(call.state, event)
    booking = _booking_of(tx, call)
    tx.bookings.update(bookings.settle(booking, call.seconds_leased, charged, answered=answered, now=now))
    tx.calls.update(replace(call, state=state, seconds_charged=charged, ended_at=now))
    cdr = Cdr(
        id=new_id("cdr"),
        account_id=booking.account_id,
        booking_id=booking.id,
        call_id=call.call_id,
        started_at=call.started_at,
        duration=charged,
        source=call.source,
        service=booking.service,
        destination=call.destination,
        disposition=disposition,
    )
    tx.cdrs.insert(cdr)
    if answered:
        _tell_ended(tx, cdr, booking, now)
    return Settlement(cdr.id, disposition, charged)


def _booking_of(tx: Transaction, call: Call) -> Booking:
    booking = tx.bookings.by_id(call.booking_id)
    if booking is None:
        raise LookupError(f"call {call.call_id} has no booking")  # the foreign key forbids it
    return booking


def _record_rejected(
    tx: Transaction, incoming: IncomingCall, booking: Booking, disposition: Disposition, now: int
) -> None:
    tx.cdrs.insert(
        Cdr(
            id=new_id("cdr"),
            account_id=booking.account_id,
            booking_id=booking.id,
            call_id=incoming.call_id,
            started_at=now,
            duration=0,
            source=incoming.source,
            service=booking.service,
            destination=booking.destination,
            disposition=disposition,
        )
    )


def _tell_expired(tx: Transaction, incoming: IncomingCall, booking: Booking, now: int) -> None:
    body = events.expired_call_body(
        called_at=now,
        source=incoming.source,
        destination=booking.destination,
        booking_id=booking.id,
        service=booking.service,
    )
    _post(tx, booking, body, now)


def _tell_ended(tx: Transaction, cdr: Cdr, booking: Booking, now: int) -> None:
    body = events.call_ended_body(
        cdr_id=cdr.id,
        started_at=cdr.started_at,
        duration=cdr.duration,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
    )
    _post(tx, booking, body, now)


def _post(tx: Transaction, booking: Booking, body: str, now: int) -> None:
    if not booking.callback:
        return  # the engine's own bookings (softphones) have nobody to tell; the API demands a callback
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        url=booking.callback,
        body=body,
        now=now,
    )
