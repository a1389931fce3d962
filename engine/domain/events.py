"""Builds the JSON bodies of callbacks. Field names are those of the customers' contract."""

import json
from enum import StrEnum
from typing import TypeAlias

from engine.domain.booking import Booking
from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.routing import Disposition, why_expired
from engine.domain.times import EpochMs, rfc3339

# Flat, except for `metadata`: the customer's notes on the booking.
EventBody: TypeAlias = dict[str, str | int | dict[str, str]]

EXPIRED_MESSAGE = "Incoming call for expired booking"


class EventType(StrEnum):
    """The optional events, which an account chooses. The two callbacks that every account gets have no type."""

    CALL_STARTED = "call.started"
    CALL_MISSED = "call.missed"
    BOOKING_EXPIRING_SOON = "booking.expiring_soon"
    BOOKING_LOW_SECONDS = "booking.low_seconds"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_GONE = "booking.gone"


class WhyGone(StrEnum):
    """Why a booking is gone: deleted by its owner or by an erasure, or its grace period is over."""

    DELETED = "deleted"
    GRACE_OVER = "grace_over"


def as_json(body: EventBody) -> str:
    """Returns the body as one line of ASCII, whatever characters it contains."""
    return json.dumps(body)


def call_ended_body(
    *,
    cdr_id: str,
    started_at: EpochMs,
    duration: int,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
) -> EventBody:
    """Returns the body about an answered call after its end.

    `duration` is in seconds; `timestamp` is when the call came in.
    """
    return {
        "id": cdr_id,
        "timestamp": rfc3339(started_at),
        "duration": duration,
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "service": service,
    }


def expired_call_body(
    *, called_at: EpochMs, source: str, destination: E164, booking_id: BookingId, service: E164, not_reported: int = 0
) -> EventBody:
    """Returns the body about a call to a booking in its grace period.

    `not_reported` is the number of calls suppressed since the last callback.
    """
    body: EventBody = {
        "timestamp": rfc3339(called_at),
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "message": EXPIRED_MESSAGE,
        "service": service,
    }
    return body | ({"callsNotReported": not_reported} if not_reported else {})


def call_started_body(
    *, started_at: EpochMs, answered_at: EpochMs, source: str, destination: E164, booking_id: BookingId, service: E164
) -> EventBody:
    """Returns the body about a call that was just answered. `timestamp` is when the call came in."""
    return {
        "type": EventType.CALL_STARTED,
        "timestamp": rfc3339(started_at),
        "answeredAt": rfc3339(answered_at),
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "service": service,
    }


def call_missed_body(
    *,
    cdr_id: str,
    started_at: EpochMs,
    disposition: Disposition,
    source: str,
    destination: E164,
    booking_id: BookingId,
    service: E164,
) -> EventBody:
    """Returns the body about a call that was let through and not answered, after its end."""
    return {
        "type": EventType.CALL_MISSED,
        "id": cdr_id,
        "timestamp": rfc3339(started_at),
        "disposition": disposition,
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "service": service,
    }


def expiring_soon_body(booking: Booking, now: EpochMs) -> EventBody:
    """Returns the body about a booking whose end is near."""
    return _of_booking(EventType.BOOKING_EXPIRING_SOON, booking, now) | _credit(booking)


def low_seconds_body(booking: Booking, now: EpochMs) -> EventBody:
    """Returns the body about a booking with few seconds left."""
    return _of_booking(EventType.BOOKING_LOW_SECONDS, booking, now) | _credit(booking)


def booking_expired_body(booking: Booking, grace_ms: int) -> EventBody:
    """Returns the body about a booking that has expired; `timestamp` is when it expired."""
    return _of_booking(EventType.BOOKING_EXPIRED, booking, booking.expires_at) | {
        "reason": why_expired(booking),
        "revivableUntil": rfc3339(EpochMs(booking.expires_at + grace_ms)),
    }


def booking_gone_body(booking: Booking, why: WhyGone, now: EpochMs) -> EventBody:
    """Returns the body about a booking that is gone for good."""
    return _of_booking(EventType.BOOKING_GONE, booking, now) | {"reason": why}


def _of_booking(kind: EventType, booking: Booking, at: EpochMs) -> EventBody:
    return {"type": kind, "timestamp": rfc3339(at), "bookingId": booking.id, "service": booking.service}


def _credit(booking: Booking) -> EventBody:
    # The same names and meanings as in the API's booking.
    return {
        "endTime": rfc3339(booking.end_at),
        "secondsRemaining": booking.seconds.remaining,
        "secondsHeld": booking.seconds.leased,
        "callsRemaining": booking.calls.remaining,
    }
