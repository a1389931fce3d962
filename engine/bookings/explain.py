"""Explains whether a call would be put through now, and why.

It uses the code that routes real calls, and writes nothing.
"""

from engine.bookings.lifecycle import owned
from engine.calls.facts import IncomingCall, asked_for, facts_of, sandbox_of
from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.explanation import Explanation, limited_by
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164, is_e164
from engine.domain.policy import Policy
from engine.domain.rejections import Reason
from engine.domain.routing import Facts, judge
from engine.domain.times import Timestamp
from engine.storage.transaction import Transaction

# The id of an imagined call.
NO_CALL = CallId("")


def explain(
    tx: Transaction,
    account_id: AccountId,
    booking_id: BookingId,
    source: str,
    at: Timestamp,
    policy: Policy,
    dead_trunks: frozenset[str] = frozenset(),
) -> Explanation:
    """Explains the decision on a call from `source` that arrives at `at`, assuming that Asterisk is up.

    Also assumes that the carrier asserts the caller's number, which reverse calls and pairs need.

    Args:
        tx: The transaction.
        account_id: The booking's owner.
        booking_id: The booking that is called.
        source: The caller, as `caller_of` returns it.
        at: When the call arrives.
        policy: The operator's rules.
        dead_trunks: The names of trunks that are known to be down.

    Raises:
        NotFound: The account has no such booking.
        BookingGone: The booking is gone.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, at.wall_ms, policy)
    facts = _facts(tx, booking, source, at, policy, dead_trunks)
    reason = judge(facts, at.wall_ms, policy)
    seconds = facts.share if reason is Reason.PUT_THROUGH else 0
    return Explanation(
        booking=booking,
        source=source,
        at=at.wall_ms,
        reason=reason,
        seconds=seconds,
        limited_by=limited_by(booking, seconds, at.wall_ms, policy) if seconds else None,
        caller_calls=facts.caller_calls,
        caller_ringing=facts.caller_ringing,
        account_calls=facts.account_calls,
        account_limit=facts.account_limit,
        direction=facts.direction,
    )


def _facts(
    tx: Transaction, booking: Booking, source: str, at: Timestamp, policy: Policy, dead_trunks: frozenset[str]
) -> Facts:
    """Returns what the decision on the imagined call depends on."""
    sandbox = sandbox_of(booking)
    dead = dead_trunks if sandbox is None else frozenset()  # a simulated call needs no trunk
    asserted = E164(source) if is_e164(source) else None
    if booking.reached_by(source) is None:
        closed = tx.pins.are_closed(booking.service, at.wall_ms)
        return Facts(booking, source, direction=Direction.PAIR, pins_closed=closed)
    incoming = IncomingCall(NO_CALL, booking.service, source, sandbox, dead_trunks=dead, asserted=asserted)
    return facts_of(tx, asked_for(tx, incoming, at.wall_ms, policy), incoming, at, policy)
