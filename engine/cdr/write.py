"""Writes the record of a call, in the transaction that ends or rejects the call."""

from typing import NamedTuple

from engine.domain.booking import Booking
from engine.domain.call_ends import NOT_PUT_THROUGH, Attempt, CallEnd, EndedCall
from engine.domain.dispositions import Disposition
from engine.domain.numbers import is_simulated
from engine.domain.rejections import Reason
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
        ring_ms: How long the last trunk took to ring, for the metrics; None if it did not ring, or it is not known.
        overrun_ms: For how long it talked beyond its lease, for the metrics.
        reason: Why it was refused; None if it was put through.
        tried: The attempts to reach the hidden number that failed.
    """

    disposition: Disposition
    duration: int = 0
    end: CallEnd = NOT_PUT_THROUGH
    ring_ms: int | None = None
    overrun_ms: int = 0
    reason: Reason | None = None
    tried: tuple[Attempt, ...] = ()


def record_call(tx: Transaction, booking: Booking, call: Call, outcome: CallOutcome) -> Cdr:
    """Writes the call record of `call` on `booking`, and returns it."""
    cdr = record_of(booking, call, outcome, cdr_id=new_id("cdr"))
    tx.cdrs.insert(cdr)
    count_call(tx, booking, call, outcome)
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
        service=call.service(booking),
        # Where the call was put through to: the booking's destination may have changed since.
        destination=call.destination,
        disposition=outcome.disposition,
        end=outcome.end,
        sip_call_id=call.sip_call_id,
        callee_sip_call_id=call.callee_sip_call_id,
        incoming_trunk=call.incoming_trunk,
        reason=outcome.reason,
        tried=outcome.tried,
        direction=call.direction,
    )


def count_call(tx: Transaction, booking: Booking, call: Call, outcome: CallOutcome) -> None:
    """Has a call counted after the commit, unless it is a simulated one. The metrics say how many calls there were."""
    if not is_simulated(booking.service):
        answered, rang = call.answered, outcome.ring_ms
        answer_ms = None if answered is None or not outcome.duration else answered.boot_ms - call.started_ticks
        tx.ended.append(EndedCall(outcome.disposition, outcome.end.trunk, rang, answer_ms, outcome.overrun_ms))
