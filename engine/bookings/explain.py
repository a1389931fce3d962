"""Explains whether a call would be put through now, and why.

It uses the code that routes real calls, and writes nothing.
"""

from dataclasses import replace

from engine.bookings.lifecycle import owned
from engine.calls.lease_rebalancing import holding, plan_shrinks
from engine.calls.lifecycle import facts_of
from engine.domain.booking import Booking, move_leases
from engine.domain.explanation import Explanation, limited_by, room_for_call
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.metering import CallState
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, MakeRoom, decide, judge
from engine.domain.sharing import Holding, fair_leases
from engine.domain.times import Timestamp
from engine.storage.transaction import Transaction

# Sorts before the id of every call, so the hypothetical call gets none of the seconds that cannot be shared evenly.
NEWCOMER = CallId("")


def explain(
    tx: Transaction, account_id: AccountId, booking_id: BookingId, source: str, at: Timestamp, policy: Policy
) -> Explanation:
    """Explains the decision on a call from `source` that arrives at `at`, assuming that Asterisk is up.

    Args:
        tx: The transaction.
        account_id: The booking's owner.
        booking_id: The booking that is called.
        source: The caller, as `caller_of` returns it.
        at: When the call arrives.
        policy: The operator's rules.

    Raises:
        NotFound: The account has no such booking.
        BookingGone: The booking is gone.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, at.wall_ms, policy)
    facts = facts_of(tx, booking, source, at.wall_ms)
    decision = decide(facts, at.wall_ms, policy)
    if isinstance(decision, MakeRoom):
        facts = replace(facts, booking=_with_room(tx, booking, decision.seconds, at, policy))
        decision = decide(facts, at.wall_ms, policy, room_was_made=True)
    seconds = _talk_seconds(tx, booking, decision, at, policy) if isinstance(decision, Bridge) else 0
    return Explanation(
        booking=booking,
        source=source,
        at=at.wall_ms,
        reason=judge(facts, at.wall_ms, policy),
        seconds=seconds,
        limited_by=limited_by(booking, seconds, at.wall_ms, policy) if seconds else None,
        caller_calls=facts.caller_calls,
    )


def _with_room(tx: Transaction, booking: Booking, seconds: int, at: Timestamp, policy: Policy) -> Booking:
    """Returns the booking as it would be after the live calls gave back what they can."""
    leased = {call.call_id: call.seconds_leased for call in tx.calls.up_on(booking.id)}
    shrinks = plan_shrinks(tx, booking.id, at, policy, seconds)
    return move_leases(booking, sum(limit.leased - leased[limit.call_id] for limit in shrinks))


def _talk_seconds(tx: Transaction, booking: Booking, decision: Bridge, at: Timestamp, policy: Policy) -> int:
    """Returns the new call's share of the seconds once it is answered.

    Making room only moves seconds from one call to another, so the sum stays the same.
    """
    up = [holding(call, booking, at, policy) for call in tx.calls.up_on(booking.id)]
    longest = room_for_call(booking, at.wall_ms, policy)
    newcomer = Holding(NEWCOMER, CallState.LIVE, decision.seconds, used=0, longest=longest)
    return max(1, fair_leases(booking.seconds.remaining - decision.seconds, [*up, newcomer])[NEWCOMER])
