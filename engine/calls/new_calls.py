"""The call that is stored for an incoming call, with its lease or without one."""

from engine.calls.facts import IncomingCall, caller_on, direction_of
from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.metering import CallState
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.times import Timestamp
from engine.storage.calls import Call
from engine.storage.transaction import Transaction


def put_through(tx: Transaction, incoming: IncomingCall, decision: Bridge, at: Timestamp) -> Call:
    """Returns a call that rings, with the lease of the decision."""
    return _new(
        incoming,
        decision.booking,
        at,
        CallState.RINGING,
        decision.direction,
        decision.destination,
        seconds_leased=decision.seconds,
        returnable=decision.booking.reverse and _is_returnable(tx, incoming, decision),
    )


def refused(incoming: IncomingCall, booking: Booking, at: Timestamp) -> Call:
    """Returns a call without a lease. A reverse one may have nobody to reach, so it has the number that was dialled."""
    direction = direction_of(booking, incoming)
    reached = None if direction is Direction.REVERSE else booking.reached_by(caller_on(booking, incoming))
    destination = reached or booking.service
    return _new(incoming, booking, at, CallState.VOIDED, direction, destination)


def _new(
    incoming: IncomingCall,
    booking: Booking,
    at: Timestamp,
    state: CallState,
    direction: Direction,
    destination: E164,
    *,
    seconds_leased: int = 0,
    returnable: bool = False,
) -> Call:
    return Call(
        call_id=incoming.call_id,
        booking_id=booking.id,
        state=state,
        source=caller_on(booking, incoming),
        destination=destination,
        callee_channel=None,
        seconds_leased=seconds_leased,
        seconds_charged=None,
        started_at=at.wall_ms,
        ended_at=None,
        started_ticks=at.boot_ms,
        answered=None,
        seen_ticks=None,
        sip_call_id=incoming.sip_call_id,
        incoming_trunk=incoming.trunk,
        asterisk=incoming.asterisk,
        direction=direction,
        returnable=returnable,
    )


def _is_returnable(tx: Transaction, incoming: IncomingCall, decision: Bridge) -> bool:
    """Returns whether this caller becomes the one who called last.

    Never the hidden number, nor one of ours: a stranger shows that number, or the call is our own and somebody forwards
    it.
    """
    is_forward = decision.direction is Direction.FORWARD
    return is_forward and incoming.source != decision.destination and not tx.numbers.is_ours(E164(incoming.source))
