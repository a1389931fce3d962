"""The bodies of callbacks, to be described. They are made by `engine.domain.events`, which knows no pydantic: that the
fields here are those is tested."""

from typing import Annotated, Literal

from api.schemas.common import Outgoing
from api.schemas.fields import BookingIdField, CdrIdField, Count, Instant, LeftOut, PastCaller, PastPhone, Phone, told
from engine.domain.events import WhyGone
from engine.domain.routing import Disposition, Reason

# Put into every body by `engine.outbox.post`.
Sequence = Annotated[int, told(minimum=1, description="1, 2, 3 … for each booking, in the order of what happened.")]


class ExpiredCallBody(Outgoing):
    """A call to a booking that is expired and can still be revived."""

    timestamp: Instant
    """When the call came in."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingIdField
    message: Literal["Incoming call for expired booking"]
    service: Phone
    calls_not_reported: LeftOut[Count] = None
    """So many calls to this booking came since the last callback about one, and were not told of; all have their call
    records. Left out where there were none."""
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class CallEndedBody(Outgoing):
    """A call that was answered, after its end."""

    id: CdrIdField
    """The call record."""
    timestamp: Instant
    """When the call came in."""
    duration: Count
    """Charged seconds."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingIdField
    service: Phone
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class CallStartedBody(Outgoing):
    """A call that was answered, at once. What is told of its end has the same `timestamp`."""

    type: Literal["call.started"]
    timestamp: Instant
    """When the call came in."""
    answered_at: Instant
    source: PastCaller
    destination: PastPhone
    booking_id: BookingIdField
    service: Phone
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class CallMissedBody(Outgoing):
    """A call that was let through and not answered, after its end."""

    type: Literal["call.missed"]
    id: CdrIdField
    """The call record."""
    timestamp: Instant
    """When the call came in."""
    disposition: Literal[
        Disposition.BUSY,
        Disposition.NO_ANSWER,
        Disposition.CANCELLED,
        Disposition.UNREACHABLE,
        Disposition.LOST,
    ]
    """Why, in the words of the call record."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingIdField
    service: Phone
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class OfBooking(Outgoing):
    type: str
    timestamp: Instant
    """When it happened."""
    booking_id: BookingIdField
    service: Phone


class CreditLeft(Outgoing):
    end_time: Instant
    """When the booking expires at the latest."""
    seconds_remaining: Count
    """What is left, without what calls that are up hold."""
    seconds_held: Count
    """By calls that are up."""
    calls_remaining: Count
    """What is left, without the calls that are up."""


class BookingExpiringSoonBody(CreditLeft, OfBooking):
    """A booking ends within the time that the operator has set, a day unless it is another."""

    type: Literal["booking.expiring_soon"]
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class BookingLowSecondsBody(CreditLeft, OfBooking):
    """A call has ended, and few seconds are left, fewer than 60 unless the operator has set another number."""

    type: Literal["booking.low_seconds"]
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class BookingExpiredBody(OfBooking):
    """A booking has expired: calls are refused until it is renewed."""

    type: Literal["booking.expired"]
    reason: Literal[Reason.END_REACHED, Reason.SECONDS_SPENT, Reason.CALLS_SPENT]
    """As in `GET /bookings/{id}/explain`."""
    revivable_until: Instant
    """Until then a `PUT` revives it; from then on it is gone."""
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class BookingGoneBody(OfBooking):
    """A booking is gone for good; its number will be another's."""

    type: Literal["booking.gone"]
    reason: WhyGone
    """`deleted`: by a `DELETE`, or by the operator; `grace_over`: nobody revived it in time."""
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""
