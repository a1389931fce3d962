"""What remains of a call, written in the transaction that ends it: its record, and the callback to its owner."""

from engine.callbacks.posting import post
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.routing import Disposition
from engine.runtime.ids import new_id
from engine.storage.rows import Cdr
from engine.storage.transaction import Transaction


def record_call(
    tx: Transaction,
    booking: Booking,
    *,
    call_id: str,
    source: str,
    destination: str,
    started_at: int,
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


def tell_ended(tx: Transaction, booking: Booking, cdr: Cdr, now: int) -> None:
    """Put the callback about an answered call into the outbox."""
    body = events.call_ended_body(
        cdr_id=cdr.id,
        started_at=cdr.started_at,
        duration=cdr.duration,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
    )
    post(tx, booking, body, now)


def tell_expired(tx: Transaction, booking: Booking, cdr: Cdr, now: int, *, not_reported: int) -> None:
    """Put the callback about a call to an expired booking into the outbox. `not_reported`: calls that were not told of
    since the last one that was."""
    body = events.expired_call_body(
        called_at=cdr.started_at,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
        not_reported=not_reported,
    )
    post(tx, booking, body, now)
