"""The bodies of callbacks, to be described. They are made by `engine.domain.events`, which knows no pydantic: that the
fields here are those is tested."""

from typing import Literal

from api.fields import BookingId, CdrId, Count, Instant, LeftOut, PastCaller, PastPhone, Phone
from api.schemas import Outgoing


class ExpiredCallBody(Outgoing):
    """A call to a booking that is expired and can still be revived."""

    timestamp: Instant
    """When the call came in."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingId
    message: Literal["Incoming call for expired booking"]
    service: Phone
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""


class CallEndedBody(Outgoing):
    """A call that was answered, after its end."""

    id: CdrId
    """The call record."""
    timestamp: Instant
    """When the call came in."""
    duration: Count
    """Charged seconds."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingId
    service: Phone
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""
