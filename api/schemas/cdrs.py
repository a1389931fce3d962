"""A call record (CDR) as it goes out."""

from api.schemas.common import Outgoing, Page
from api.schemas.fields import BookingIdField, CdrIdField, Count, Instant, PastCaller, PastPhone, Phone
from engine.domain.routing import Disposition
from engine.domain.times import rfc3339
from engine.storage.cdrs import Cdr


class CdrBody(Outgoing):
    """A call record: one for each call to one of your numbers, answered or not."""

    id: CdrIdField
    timestamp: Instant
    """When the call came in."""
    duration: Count
    """Charged seconds. A started second counts as a whole one; 0 if the call was not answered."""
    source: PastCaller
    """The caller: an E.164 number, another number as the carrier sent it, or `anonymous`; `erased` after an erasure."""
    destination: PastPhone
    """The hidden number; `erased` after an erasure."""
    service: Phone
    """The rented number that was called."""
    booking_id: BookingIdField
    """The booking, which may be gone since."""
    disposition: Disposition

    @classmethod
    def of(cls, cdr: Cdr) -> "CdrBody":
        """The call record as it is stored."""
        return cls(
            id=cdr.id,
            timestamp=rfc3339(cdr.started_at),
            duration=cdr.duration,
            source=cdr.source,
            destination=cdr.destination,
            service=cdr.service,
            booking_id=cdr.booking_id,
            disposition=cdr.disposition,
        )


CdrPage = Page[CdrBody]
