"""Where callbacks wait until they are delivered: put there by the transaction that did what they tell of."""

from engine.domain.booking import Booking
from engine.domain.events import Body, as_json
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction


def post(tx: Transaction, booking: Booking, body: Body, now: int) -> None:
    """Have the booking's owner told. The worker is woken after the commit.

    `now`: by the clock that the booking lives by.
    """
    if not booking.callback:
        return  # the engine's own bookings (softphones) have nobody to tell; the API demands a callback
    # Counted in the same transaction: commits are in the order of the numbers, without gaps.
    numbered: Body = body | {"sequence": tx.outbox.next_sequence(booking.id)}
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        url=booking.callback,
        body=as_json(numbered | {"metadata": dict(booking.metadata)} if booking.metadata else numbered),
        now=now,
    )
    tx.posted = True
