"""What remains of a call, written in the transaction that ends it: its record, and the callback to its owner."""

from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.routing import Disposition
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


def record_call(
    tx: Transaction,
    booking: Booking,
    *,
    call_id: CallId,
    source: str,
    destination: E164,
    started_at: EpochMs,
    duration: int,
    disposition: Disposition,
) -> Cdr:
    """Write the call record. `duration` in seconds, `started_at` epoch milliseconds."""
    cdr = Cdr(
        id=new_id("cdr"),
        account_id=booking.account_id,
        booking_id=booking.id,
        call_id=call_id,
        started_at=started_at,
        duration=duration,
        source=source,
        service=booking.service,
        destination=destination,
        disposition=disposition,
    )
    tx.cdrs.insert(cdr)
    return cdr
