"""The bodies of callbacks, to be described. They are made by `engine.domain.events`, which knows no pydantic: that the
fields here are those is tested."""

from typing import Annotated, Literal

from api.fields import BookingId, CdrId, Count, Instant, LeftOut, PastCaller, PastPhone, Phone, told
from api.schemas import Outgoing

# Put into every body by `engine.outbox.post`.
Sequence = Annotated[int, told(minimum=1, description="1, 2, 3 … for each booking, in the order of what happened.")]


class ExpiredCallBody(Outgoing):
    """A call to a booking that is expired and can still be revived."""

    timestamp: Instant
    """When the call came in."""
    source: PastCaller
    destination: PastPhone
    booking_id: BookingId
    message: Literal["Incoming call for expired booking"]
    service: Phone
    sequence: Sequence
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
    sequence: Sequence
    metadata: LeftOut[dict[str, str]] = None
    """Your own notes on the booking, if it has any."""
