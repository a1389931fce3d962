"""What a customer is told by callback: flat JSON bodies, field names as the customer's contract has them."""

import json
from typing import TypeAlias

from engine.domain.times import rfc3339

# Flat, but for `metadata`: what the booking's owner noted on it.
Body: TypeAlias = dict[str, str | int | dict[str, str]]

EXPIRED_MESSAGE = "Incoming call for expired booking"


def as_json(body: Body) -> str:
    """One line of ASCII, whatever callers call themselves."""
    return json.dumps(body)


def call_ended_body(
    *,
    cdr_id: str,
    started_at: int,
    duration: int,
    source: str,
    destination: str,
    booking_id: str,
    service: str,
) -> Body:
    """A call that was answered, after its end. `duration` in seconds; `timestamp` is when the call came in."""
    return {
        "id": cdr_id,
        "timestamp": rfc3339(started_at),
        "duration": duration,
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "service": service,
    }


def expired_call_body(*, called_at: int, source: str, destination: str, booking_id: str, service: str) -> Body:
    """A call to a booking that is in its grace."""
    return {
        "timestamp": rfc3339(called_at),
        "source": source,
        "destination": destination,
        "bookingId": booking_id,
        "message": EXPIRED_MESSAGE,
        "service": service,
    }
