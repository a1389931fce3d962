"""A call record (CDR) as it goes out."""

from api.schemas.common import Outgoing, Page
from api.schemas.fields import (
    BookingIdField,
    CdrIdField,
    Count,
    HangupCause,
    Instant,
    PastCaller,
    PastPhone,
    Phone,
    SipCode,
)
from engine.domain.call_ends import HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.times import rfc3339
from engine.storage.cdrs import Cdr


class CdrBody(Outgoing):
    """A call record: one for each call to one of your numbers, answered or not, except for floods of refused calls."""

    id: CdrIdField
    timestamp: Instant
    """When the call came in."""
    duration: Count
    """Charged seconds. A started second counts as a whole one; 0 if the call was not answered."""
    source: PastCaller
    """The caller: an E.164 number, another number as the carrier sent it, or `anonymous`; `erased` after an erasure.
    In a reverse call it is the hidden number."""
    destination: PastPhone
    """The number that was called: the hidden number or, in a reverse call, who called last. If a reverse call was
    refused, it is the rented number; `erased` after an erasure."""
    service: Phone
    """The rented number that was called."""
    booking_id: BookingIdField
    """The booking, which may be gone since."""
    disposition: Disposition
    hung_up_by: HungUpBy | None
    """Who ended the call: `CALLER`; `CALLEE`, which is the hidden number's side with its carrier; `LIMIT`, because the
    time to talk or to ring was over; `ENGINE`, after a `DELETE` or by the operator; or `UNKNOWN`. `null` if the call
    was not put through, and in older records."""
    sip_code: SipCode | None
    """The final SIP status that came from the hidden number's side, such as 404; 200 for an answered call. `null` if
    none came."""
    hangup_cause: HangupCause | None
    """The hangup cause (ITU-T Q.850) of the hidden number's side, such as 16 for a normal end. `null` if there was
    none."""
    further_calls: Count
    """How many further calls to the booking were refused for the same reason within a minute and have no record of
    their own; 0 except in a flood of refused calls."""
    direction: Direction
    """`forward`: somebody called the rented number, to reach the hidden one. `reverse`: the hidden number called it.
    `pair`: a participant called it, to reach the other one."""

    @classmethod
    def of(cls, cdr: Cdr) -> "CdrBody":
        """The call record as it is stored, without what is for the operator only.

        Trunks are named after carriers, and a SIP Call-ID can show from where a caller calls who withholds the number.
        """
        return cls(
            id=cdr.id,
            timestamp=rfc3339(cdr.started_at),
            duration=cdr.duration,
            source=cdr.source,
            destination=cdr.destination,
            service=cdr.service,
            booking_id=cdr.booking_id,
            disposition=cdr.disposition,
            hung_up_by=cdr.end.hung_up_by,
            sip_code=cdr.end.sip_code,
            hangup_cause=cdr.end.cause,
            further_calls=cdr.further_calls,
            direction=cdr.direction,
        )


CdrPage = Page[CdrBody]
