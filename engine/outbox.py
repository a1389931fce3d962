"""Where callbacks wait until they are delivered: put there by the transaction that did what they tell of."""

from engine.domain.booking import Booking
from engine.domain.events import Body, as_json
from engine.ids import new_id
from engine.storage.transaction import Transaction


def post(tx: Transaction, booking: Booking, body: Body, now: int) -> None:
    """Have the booking's owner told, with its metadata if it has any. Whoever commits it wakes the worker."""
    if not booking.callback:
        return  # the engine's own bookings (softphones) have nobody to tell; the API demands a callback
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        url=booking.callback,
        body=as_json(body | {"metadata": dict(booking.metadata)} if booking.metadata else body),
        now=now,
    )
