"""Example callbacks: those of the one booking that all examples are about, in the order in which they happened.

The code that makes the bodies of real callbacks makes these.
"""

from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from api.openapi.callback_bodies import BODIES
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.call_ends import CallEnd, HungUpBy
from engine.domain.dispositions import Disposition
from engine.domain.event_kinds import (
    BookingExpired,
    BookingExpiringSoon,
    BookingGone,
    BookingLowSeconds,
    BookingNumberSwapped,
    CallEnded,
    CallMissed,
    CallStarted,
    ExpiredCall,
    WhyGone,
)
from engine.domain.events import EventBody, in_envelope
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import Credit
from engine.domain.notes import Metadata
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import DAY_MS, EpochMs, instant_from

ACCOUNT_ID = AccountId("acc_01a206bf6f0e7c3b8a3f5b6c7d8e9f01")
BOOKING_ID = BookingId("bkg_01a206bf7ae277579d190ae0d5b05f1a")
CDR_ID = "cdr_01a206bf8c1d7a1190a6f0f2b7a1c9d3"
MISSED_ID = "cdr_01a206bf9d2e7b2281b7a1f3c8b2d0e4"
HIDDEN = E164("+32470123456")
SERVICE = E164("+3225550000")
SWAPPED = E164("+3225550042")
CALLER = "+14155550123"
CALLBACK = "https://customer.example/calls"
METADATA: Metadata = {"order": "1871"}


def _at(text: str) -> EpochMs:
    instant = instant_from(text)
    if instant is None:
        raise ValueError(text)
    return instant


BOOKED_AT = _at("2026-03-01T12:00:00Z")
CALLED_AT = _at("2026-03-01T12:00:01Z")
GRACE_MS = 7 * DAY_MS

# As it is when the calls have used most of it.
BOOKING = Booking(
    id=BOOKING_ID,
    account_id=ACCOUNT_ID,
    service=SERVICE,
    destination=HIDDEN,
    usage_plan=UsagePlan.SMALL,
    callback=CALLBACK,
    created_at=BOOKED_AT,
    end_at=EpochMs(BOOKED_AT + 7 * DAY_MS),
    exhausted_at=None,
    gone_at=None,
    seconds=Credit(granted=1800, remaining=42, leased=0, settled=1758),
    calls=Credit(granted=25, remaining=11, leased=0, settled=14),
    label="Order 1871",
    metadata=METADATA,
)

PARTIES: dict[str, Any] = {"booking_id": BOOKING_ID, "service": SERVICE, "source": CALLER, "destination": HIDDEN}


def _numbered(sequence: int, body: EventBody, metadata: Metadata | None = None) -> EventBody:
    return in_envelope(body, sequence=sequence, metadata=metadata or {})


CALL_STARTED = _numbered(
    1, events.call_started_body(started_at=CALLED_AT, answered_at=_at("2026-03-01T12:00:08.250Z"), **PARTIES)
)
CALL_ENDED = _numbered(
    2,
    events.call_ended_body(
        cdr_id=CDR_ID,
        started_at=CALLED_AT,
        duration=12,
        end=CallEnd(sip_code=200, cause=16, hung_up_by=HungUpBy.CALLER),
        **PARTIES,
    ),
    METADATA,
)
CALL_MISSED = _numbered(
    3,
    events.call_missed_body(
        cdr_id=MISSED_ID,
        started_at=_at("2026-03-02T09:30:00Z"),
        disposition=Disposition.BUSY,
        end=CallEnd(sip_code=486, cause=17, hung_up_by=HungUpBy.CALLEE),
        **PARTIES,
    ),
)
LOW_SECONDS = _numbered(4, events.low_seconds_body(BOOKING, _at("2026-03-05T09:30:00Z")))
EXPIRING_SOON = _numbered(5, events.expiring_soon_body(BOOKING, _at("2026-03-07T12:00:04Z")))
BOOKING_EXPIRED = _numbered(6, events.booking_expired_body(BOOKING, GRACE_MS))
CALLED_TOO_LATE = _at("2026-03-09T08:15:00Z")
EXPIRED_CALL = _numbered(7, events.expired_call_body(called_at=CALLED_TOO_LATE, **PARTIES), METADATA)
# The callback that ends a flood of calls.
EXPIRED_CALLS = _numbered(7, events.expired_call_body(called_at=CALLED_TOO_LATE, not_reported=990, **PARTIES), METADATA)
SWAPPED_BOOKING = replace(BOOKING, service=SWAPPED)
NUMBER_SWAPPED = _numbered(8, events.number_swapped_body(SWAPPED_BOOKING, SERVICE, _at("2026-03-10T10:00:00Z")))
BOOKING_GONE = _numbered(
    9, events.booking_gone_body(SWAPPED_BOOKING, WhyGone.GRACE_OVER, EpochMs(BOOKING.expires_at + GRACE_MS))
)

CALLBACK_TEST = events.callback_test_body(BOOKED_AT)

CALLBACKS: dict[type[BaseModel], list[EventBody]] = {
    BODIES[CallEnded]: [CALL_ENDED],
    BODIES[ExpiredCall]: [EXPIRED_CALL, EXPIRED_CALLS],
    BODIES[CallStarted]: [CALL_STARTED],
    BODIES[CallMissed]: [CALL_MISSED],
    BODIES[BookingExpiringSoon]: [EXPIRING_SOON],
    BODIES[BookingLowSeconds]: [LOW_SECONDS],
    BODIES[BookingExpired]: [BOOKING_EXPIRED],
    BODIES[BookingNumberSwapped]: [NUMBER_SWAPPED],
    BODIES[BookingGone]: [BOOKING_GONE],
}
