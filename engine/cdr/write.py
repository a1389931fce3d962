"""Writes the record of a call, in the transaction that ends or rejects the call."""

from typing import NamedTuple

from engine.domain.booking import Booking
from engine.domain.call_ends import NOT_PUT_THROUGH, CallEnd
from engine.domain.routing import Disposition
from engine.runtime.ids import new_id
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


class CallOutcome(NamedTuple):
    """How a call ended.

    Attributes:
        disposition: How it ended, in a word.
        duration: Charged seconds; 0 if it was not answered.
        end: What is known of its end besides.
    """

    disposition: Disposition
    duration: int = 0
    end: CallEnd = NOT_PUT_THROUGH


def record_call(tx: Transaction, booking: Booking, call: Call, outcome: CallOutcome) -> Cdr:
    """Writes the call record of `call` on `booking`, and returns it."""
    cdr = record_of(booking, call, outcome, cdr_id=new_id("cdr"))
    tx.cdrs.insert(cdr)
    return cdr


def record_of(booking: Booking, call: Call, outcome: CallOutcome, *, cdr_id: str) -> Cdr:
    """Returns the call record of `call` on `booking`, without writing it."""
    return Cdr(
        id=cdr_id,
        account_id=booking.account_id,
        booking_id=booking.id,
        call_id=call.call_id,
        started_at=call.started_at,
        duration=outcome.duration,
        source=call.source,
        service=booking.service,
        # Where the call was let through to: the booking's destination may have changed since.
        destination=call.destination,
        disposition=outcome.disposition,
        end=outcome.end,
        sip_call_id=call.sip_call_id,
        callee_sip_call_id=call.callee_sip_call_id,
    )
