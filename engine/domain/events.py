"""The bodies of callbacks: flat JSON, with the field names of the customers' contract.

Each event is described once, by a class of `engine.domain.event_kinds`. The body that is sent, the OpenAPI schema and
its example (`api.openapi`) are all made from that class.
"""

import json
import re
from typing import Any, TypeAlias, cast

from engine.domain.booking import Booking
from engine.domain.call_ends import NOT_PUT_THROUGH, CallEnd
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.event_kinds import (
    EXPIRED_MESSAGE,
    FIELDS,
    BookingExpired,
    BookingExpiringSoon,
    BookingGone,
    BookingLowSeconds,
    BookingNumberSwapped,
    CallbackTest,
    CallEnded,
    CallMissed,
    CallStarted,
    Envelope,
    Event,
    ExpiredCall,
    NotForward,
    Unanswered,
    WhyExpired,
    WhyGone,
)
from engine.domain.ids import BookingId
from engine.domain.notes import Metadata
from engine.domain.numbers import E164
from engine.domain.routing import why_expired
from engine.domain.times import EpochMs, rfc3339

__all__ = [
    "EXPIRED_MESSAGE",
    "EventBody",
    "WhyGone",
    "as_json",
    "body_of",
    "booking_expired_body",
    "booking_gone_body",
    "call_ended_body",
    "call_missed_body",
    "call_started_body",
    "callback_test_body",
    "expired_call_body",
    "expiring_soon_body",
    "in_envelope",
    "low_seconds_body",
    "number_swapped_body",
]

# Characters that end a line, and halves of surrogate pairs.
_UNSAFE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Flat, except for `metadata`, the customer's own notes on the booking.
EventBody: TypeAlias = dict[str, str | int | dict[str, str]]


def body_of(event: Event | CallbackTest | Envelope) -> EventBody:
    """The JSON object that is sent for an event: public names, RFC 3339 instants, no empty optional fields."""
    body: EventBody = {}
    for each in FIELDS[type(event)]:
        value = getattr(event, each.name)
        if value is not None:
            body[each.public_name] = rfc3339(value) if each.kind is EpochMs else value
    return body


def in_envelope(body: EventBody, *, sequence: int, metadata: Metadata) -> EventBody:
    """Adds the fields that every callback has.

    Args:
        body: The body of the event.
        sequence: The number of the callback among those of its booking, from 1.
        metadata: The booking's notes; may be empty.
    """
    return body | body_of(Envelope(sequence=sequence, metadata=dict(metadata) or None))


def as_json(body: EventBody) -> str:
    """One line of UTF-8, whatever characters a caller's number has.

    Only characters that could end a line or that UTF-8 cannot write are escaped: an escape is up to three times as
    long, and every callback is stored.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(body, ensure_ascii=False))


def call_ended_body(
    *,
    cdr_id: str,
    started_at: EpochMs,
    duration: int,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
    end: CallEnd = NOT_PUT_THROUGH,
    direction: Direction = Direction.FORWARD,
) -> EventBody:
    """The body for an answered call that has ended. It came in at `started_at`; `duration` is in seconds."""
    return body_of(
        CallEnded(
            id=cdr_id,
            timestamp=started_at,
            duration=duration,
            source=source,
            destination=destination,
            booking_id=booking_id,
            service=service,
            hung_up_by=end.hung_up_by,
            hangup_cause=end.cause,
            direction=_unless_forward(direction),
        )
    )


def expired_call_body(
    *,
    called_at: EpochMs,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
    not_reported: int = 0,
    direction: Direction = Direction.FORWARD,
) -> EventBody:
    """The body for a call to a booking in its grace. `not_reported`: earlier calls without a callback of their own."""
    return body_of(
        ExpiredCall(
            timestamp=called_at,
            source=source,
            destination=destination,
            booking_id=booking_id,
            service=service,
            calls_not_reported=not_reported or None,
            direction=_unless_forward(direction),
        )
    )


def call_started_body(
    *,
    started_at: EpochMs,
    answered_at: EpochMs,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
    direction: Direction = Direction.FORWARD,
) -> EventBody:
    """The body for a call that was answered. It came in at `started_at`."""
    return body_of(
        CallStarted(
            timestamp=started_at,
            answered_at=answered_at,
            source=source,
            destination=destination,
            booking_id=booking_id,
            service=service,
            direction=_unless_forward(direction),
        )
    )


def call_missed_body(
    *,
    cdr_id: str,
    started_at: EpochMs,
    disposition: Disposition,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
    end: CallEnd = NOT_PUT_THROUGH,
    direction: Direction = Direction.FORWARD,
) -> EventBody:
    """The body for a call that was put through and ended without an answer."""
    return body_of(
        CallMissed(
            id=cdr_id,
            timestamp=started_at,
            disposition=cast("Unanswered", disposition),
            source=source,
            destination=destination,
            booking_id=booking_id,
            service=service,
            sip_code=end.sip_code,
            hung_up_by=end.hung_up_by,
            hangup_cause=end.cause,
            direction=_unless_forward(direction),
        )
    )


def expiring_soon_body(booking: Booking, now: EpochMs) -> EventBody:
    """The body for a booking that ends soon."""
    return body_of(BookingExpiringSoon(timestamp=now, **_of_credit(booking)))


def low_seconds_body(booking: Booking, now: EpochMs) -> EventBody:
    """The body for a booking with few seconds left."""
    return body_of(BookingLowSeconds(timestamp=now, **_of_credit(booking)))


def booking_expired_body(booking: Booking, grace_ms: int) -> EventBody:
    """The body for a booking that has expired; its `timestamp` is the time at which it expired."""
    return body_of(
        BookingExpired(
            timestamp=booking.expires_at,
            booking_id=booking.id,
            service=booking.service,
            reason=cast("WhyExpired", why_expired(booking)),
            revivable_until=EpochMs(booking.expires_at + grace_ms),
        )
    )


def number_swapped_body(booking: Booking, previous: E164, now: EpochMs) -> EventBody:
    """The body for a booking that has a new number in the place of `previous`."""
    return body_of(
        BookingNumberSwapped(timestamp=now, booking_id=booking.id, service=booking.service, previous_service=previous)
    )


def booking_gone_body(booking: Booking, why: WhyGone, now: EpochMs) -> EventBody:
    """The body for a booking that is gone for good."""
    return body_of(BookingGone(timestamp=now, booking_id=booking.id, service=booking.service, reason=why))


def callback_test_body(now: EpochMs) -> EventBody:
    """The body of a test event."""
    return body_of(CallbackTest(timestamp=now))


def _unless_forward(direction: Direction) -> NotForward | None:
    return None if direction is Direction.FORWARD else direction


def _of_credit(booking: Booking) -> dict[str, Any]:
    return {
        "booking_id": booking.id,
        "service": booking.service,
        "end_time": booking.end_at,
        "seconds_remaining": booking.seconds.remaining,
        "seconds_held": booking.seconds.leased,
        "calls_remaining": booking.calls.remaining,
    }
