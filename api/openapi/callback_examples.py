"""What callbacks tell in the story of `examples`: one booking's, in the order in which it happened."""

from typing import Any

from pydantic import BaseModel

from api.openapi.callback_bodies import (
    BookingExpiredBody,
    BookingExpiringSoonBody,
    BookingGoneBody,
    BookingLowSecondsBody,
    CallEndedBody,
    CallMissedBody,
    CallStartedBody,
    ExpiredCallBody,
)
from api.schemas.common import Outgoing
from engine.domain.events import EXPIRED_MESSAGE, WhyGone
from engine.domain.routing import Disposition, Reason

BOOKING_ID = "bkg_01a206bf7ae277579d190ae0d5b05f1a"
CDR_ID = "cdr_01a206bf8c1d7a1190a6f0f2b7a1c9d3"
MISSED_ID = "cdr_01a206bf9d2e7b2281b7a1f3c8b2d0e4"
HIDDEN = "+32470123456"
SERVICE = "+3225550000"
CALLER = "+14155550123"
CALLBACK = "https://customer.example/calls"
BOOKED_AT = "2026-03-01T12:00:00.000Z"
CALLED_AT = "2026-03-01T12:00:01.000Z"
ANSWERED_AT = "2026-03-01T12:00:08.250Z"
ENDS_AT = "2026-03-08T12:00:00.000Z"
MISSED_AT = "2026-03-02T09:30:00.000Z"
CALLED_TOO_LATE = "2026-03-09T08:15:00.000Z"
GONE_AT = "2026-03-15T12:00:00.000Z"

BOOKED: dict[str, Any] = {"booking_id": BOOKING_ID, "service": SERVICE}
PARTIES: dict[str, Any] = BOOKED | {"source": CALLER, "destination": HIDDEN}
LEFT: dict[str, Any] = {"end_time": ENDS_AT, "seconds_remaining": 42, "seconds_held": 0, "calls_remaining": 11}
CALL_STARTED = CallStartedBody(
    type="call.started",
    timestamp=CALLED_AT,
    answered_at=ANSWERED_AT,
    **PARTIES,
    sequence=1,
)
CALL_ENDED = CallEndedBody(
    id=CDR_ID,
    timestamp=CALLED_AT,
    duration=12,
    **PARTIES,
    sequence=2,
    metadata={"order": "1871"},
)
CALL_MISSED = CallMissedBody(
    type="call.missed",
    id=MISSED_ID,
    timestamp=MISSED_AT,
    disposition=Disposition.NO_ANSWER,
    **PARTIES,
    sequence=3,
)
LOW_SECONDS = BookingLowSecondsBody(
    type="booking.low_seconds",
    timestamp="2026-03-05T09:30:00.000Z",
    **BOOKED,
    **LEFT,
    sequence=4,
)
EXPIRING_SOON = BookingExpiringSoonBody(
    type="booking.expiring_soon",
    timestamp="2026-03-07T12:00:04.000Z",
    **BOOKED,
    **LEFT,
    sequence=5,
)
BOOKING_EXPIRED = BookingExpiredBody(
    type="booking.expired",
    timestamp=ENDS_AT,
    **BOOKED,
    reason=Reason.END_REACHED,
    revivable_until=GONE_AT,
    sequence=6,
)
EXPIRED_CALL = ExpiredCallBody(
    timestamp=CALLED_TOO_LATE,
    message=EXPIRED_MESSAGE,
    **PARTIES,
    sequence=7,
    metadata={"order": "1871"},
)
# Of a flood of calls.
EXPIRED_CALLS = EXPIRED_CALL.model_copy(update={"calls_not_reported": 990})
BOOKING_GONE = BookingGoneBody(
    type="booking.gone",
    timestamp=GONE_AT,
    **BOOKED,
    reason=WhyGone.GRACE_OVER,
    sequence=8,
)


def shown(body: Outgoing) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True)


CALLBACKS: dict[type[BaseModel], list[dict[str, Any]]] = {
    CallEndedBody: [shown(CALL_ENDED)],
    ExpiredCallBody: [shown(EXPIRED_CALL), shown(EXPIRED_CALLS)],
    CallStartedBody: [shown(CALL_STARTED)],
    CallMissedBody: [shown(CALL_MISSED)],
    BookingExpiringSoonBody: [shown(EXPIRING_SOON)],
    BookingLowSecondsBody: [shown(LOW_SECONDS)],
    BookingExpiredBody: [shown(BOOKING_EXPIRED)],
    BookingGoneBody: [shown(BOOKING_GONE)],
}
