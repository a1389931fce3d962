"""Decides what happens to an incoming call: facts in, decision out.

To add a reason to reject a call: add it to `Reason`, its rule to `_judge_active`, its answer to `REJECTIONS`, and its
sentence to explanation.SENTENCES.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from engine.domain.booking import Booking, BookingStatus, limits_in_force, shown_caller, status_at
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.domain.trunks import Trunk, TrunkRoute, routes_to


class Disposition(StrEnum):
    """How a call ended, as its CDR records it.

    The engine rejected the call for EXPIRED to FORBIDDEN. GAVE_WAY means that it rang, and the engine ended it because
    another call came in at a limit. LOST means that no report of its end arrived.
    """

    ANSWERED = "ANSWERED"
    BUSY = "BUSY"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"
    UNREACHABLE = "UNREACHABLE"
    EXPIRED = "EXPIRED"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    PAUSED = "PAUSED"
    ALL_SLOTS_HELD = "ALL_SLOTS_HELD"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
    ACCOUNT_LIMIT = "ACCOUNT_LIMIT"
    CALLER_LIMIT = "CALLER_LIMIT"
    CALLER_RINGING = "CALLER_RINGING"
    CALLER_BLOCKED = "CALLER_BLOCKED"
    ANONYMOUS_REFUSED = "ANONYMOUS_REFUSED"
    FORBIDDEN = "FORBIDDEN"
    GAVE_WAY = "GAVE_WAY"
    LOST = "LOST"


class Cause(IntEnum):
    """Hangup causes of ITU-T Q.850.

    Asterisk turns them into SIP answers: 1→404, 17→486, 19→480, 21→403, 22→410, 34→503.
    """

    UNALLOCATED = 1
    USER_BUSY = 17
    NO_ANSWER = 19
    CALL_REJECTED = 21
    NUMBER_CHANGED = 22
    NO_CIRCUIT = 34


@dataclass(frozen=True, slots=True)
class Bridge:
    """Put the call through to the booking's destination.

    Attributes:
        booking: The booking that was called.
        seconds: The lease: the call's share of what is left.
        ring_seconds: How long the destination rings.
        shown: The caller's number as the destination sees it, or ANONYMOUS.
        routes: The ways to the destination, in the order in which they are tried.
    """

    booking: Booking
    seconds: int
    ring_seconds: int
    shown: str
    routes: tuple[TrunkRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """End the call without ringing anybody.

    Attributes:
        cause: Decides the caller's SIP answer.
        disposition: For the call record; None if the call concerns no account and is not recorded.
        notify_expired: Whether the customer gets the callback about calls to an expired booking.
        reason: Which rule rejected the call, for its record and the log; None if it was not judged.
        booking_id: The booking that was called, for the log; None if there is none.
    """

    cause: Cause
    disposition: Disposition | None
    notify_expired: bool = False
    reason: "Reason | None" = field(default=None, compare=False)
    booking_id: BookingId | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Take `seconds` back from the calls that are up, then decide again. They hold more than their shares."""

    booking_id: BookingId
    seconds: int


@dataclass(frozen=True, slots=True)
class EndRinging:
    """End a call that rings, then decide again: a limit of calls at once is reached, and this call gives way."""

    call_id: CallId


RouteDecision = Bridge | Reject
# What must happen in Asterisk before the call can be decided on.
Preparation = MakeRoom | EndRinging


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision on a call depends on, besides the time and the operator's policy.

    Attributes:
        booking: The booking that holds the dialled number; None if there is none.
        source: The caller, as `caller_of` returns it.
        destination_is_ours: Whether the hidden number is a rented number by now; bridging would make a loop.
        caller_blocked: Whether the booking blocks this caller.
        caller_calls: Calls of this caller that the booking has let through within the last hour.
        caller_ringing: Calls of this caller that ring on the booking now.
        account_calls: Calls that are up on all bookings of the account.
        account_limit: The most of them; None for no limit.
        gives_way: For limits of calls at once, by their reasons: the ringing call that ends if the limit is reached.
            Where there is none, the newcomer is refused.
        share: The seconds that the call may lease, though other calls may hold them now. 0: there are none for it.
        dead_trunks: The names of trunks that are known to be down.
        account_suspended: Whether the booking's account is suspended or closed.
    """

    booking: Booking | None
    source: str = ANONYMOUS
    destination_is_ours: bool = False
    caller_blocked: bool = False
    caller_calls: int = 0
    caller_ringing: int = 0
    account_calls: int = 0
    account_limit: int | None = None
    gives_way: Mapping["Reason", CallId] = field(default_factory=dict)
    share: int = 0
    dead_trunks: frozenset[str] = frozenset()
    account_suspended: bool = False


class Reason(StrEnum):
    """Why a call is put through or rejected, in the order in which the rules are checked."""

    NO_BOOKING = "no_booking"
    ACCOUNT_SUSPENDED = "account_suspended"
    END_REACHED = "end_reached"
    SECONDS_SPENT = "seconds_spent"
    CALLS_SPENT = "calls_spent"
    PAUSED = "paused"
    DESTINATION_IS_OURS = "destination_is_ours"
    DESTINATION_NOT_ALLOWED = "destination_not_allowed"
    CALLER_BLOCKED = "caller_blocked"
    ANONYMOUS_REFUSED = "anonymous_refused"
    CALLER_LIMIT = "caller_limit"
    CALLER_RINGING = "caller_ringing"
    CONCURRENCY_LIMIT = "concurrency_limit"
    ACCOUNT_LIMIT = "account_limit"
    CALLS_HELD = "calls_held"
    SECONDS_HELD = "seconds_held"
    NO_TRUNK = "no_trunk"
    PUT_THROUGH = "put_through"


UNKNOWN_NUMBER = Reject(Cause.UNALLOCATED, None)
BOOKING_EXPIRED = Reject(Cause.NUMBER_CHANGED, Disposition.EXPIRED, notify_expired=True)
# SIP 480 "Temporarily Unavailable": the number is neither wrong nor busy.
ACCOUNT_SUSPENDED = Reject(Cause.NO_ANSWER, Disposition.ACCOUNT_SUSPENDED)
BOOKING_PAUSED = Reject(Cause.NO_ANSWER, Disposition.PAUSED)
ALL_SLOTS_HELD = Reject(Cause.USER_BUSY, Disposition.ALL_SLOTS_HELD)
CONCURRENCY_LIMIT = Reject(Cause.USER_BUSY, Disposition.CONCURRENCY_LIMIT)
ACCOUNT_LIMIT = Reject(Cause.USER_BUSY, Disposition.ACCOUNT_LIMIT)
CALLER_LIMIT = Reject(Cause.CALL_REJECTED, Disposition.CALLER_LIMIT)
CALLER_RINGING = Reject(Cause.USER_BUSY, Disposition.CALLER_RINGING)
CALLER_BLOCKED = Reject(Cause.CALL_REJECTED, Disposition.CALLER_BLOCKED)
ANONYMOUS_REFUSED = Reject(Cause.CALL_REJECTED, Disposition.ANONYMOUS_REFUSED)
FORBIDDEN = Reject(Cause.CALL_REJECTED, Disposition.FORBIDDEN)
# SIP 503, as if the trunk had been tried: the caller's carrier may try another route.
NO_TRUNK = Reject(Cause.NO_CIRCUIT, Disposition.UNREACHABLE)

_ANSWERS: dict[Reason, Reject] = {
    Reason.NO_BOOKING: UNKNOWN_NUMBER,
    Reason.ACCOUNT_SUSPENDED: ACCOUNT_SUSPENDED,
    Reason.END_REACHED: BOOKING_EXPIRED,
    Reason.SECONDS_SPENT: BOOKING_EXPIRED,
    Reason.CALLS_SPENT: BOOKING_EXPIRED,
    Reason.PAUSED: BOOKING_PAUSED,
    Reason.DESTINATION_IS_OURS: FORBIDDEN,
    Reason.DESTINATION_NOT_ALLOWED: FORBIDDEN,
    Reason.CALLER_BLOCKED: CALLER_BLOCKED,
    Reason.ANONYMOUS_REFUSED: ANONYMOUS_REFUSED,
    Reason.CALLER_LIMIT: CALLER_LIMIT,
    Reason.CALLER_RINGING: CALLER_RINGING,
    Reason.CONCURRENCY_LIMIT: CONCURRENCY_LIMIT,
    Reason.ACCOUNT_LIMIT: ACCOUNT_LIMIT,
    Reason.CALLS_HELD: ALL_SLOTS_HELD,
    Reason.SECONDS_HELD: ALL_SLOTS_HELD,
    Reason.NO_TRUNK: NO_TRUNK,
}
REJECTIONS: dict[Reason, Reject] = {reason: replace(answer, reason=reason) for reason, answer in _ANSWERS.items()}


def judge(facts: Facts, now: EpochMs, policy: Policy) -> Reason:
    """Returns why the call is put through or rejected.

    Both the call itself and the API's explanation use this function, so that they cannot disagree.
    """
    booking = facts.booking
    if booking is None or (status := status_at(booking, now, policy)) is BookingStatus.GONE:
        return Reason.NO_BOOKING
    if facts.account_suspended:
        # Before the expiry, whose callback asks for a renewal that the account cannot make.
        return Reason.ACCOUNT_SUSPENDED
    if status is BookingStatus.EXPIRED:
        return why_expired(booking)
    return _judge_active(facts, booking, policy)


def _judge_active(facts: Facts, booking: Booking, policy: Policy) -> Reason:
    limits = limits_in_force(booking, policy)
    rules = (
        # First, so that a paused booking gives every caller the same answer.
        (booking.paused, Reason.PAUSED),
        (facts.destination_is_ours, Reason.DESTINATION_IS_OURS),
        (policy.destinations.broken_rule(booking.destination) is not None, Reason.DESTINATION_NOT_ALLOWED),
        (facts.caller_blocked, Reason.CALLER_BLOCKED),
        (booking.refuse_anonymous and facts.source == ANONYMOUS, Reason.ANONYMOUS_REFUSED),
        (_reached(limits.max_calls_per_caller_per_hour, facts.caller_calls), Reason.CALLER_LIMIT),
        # Beyond a limit, because it was lowered, the end of one call would not suffice.
        *(
            (_reached(most, up) and not (up == most and reason in facts.gives_way), reason)
            for most, up, reason in _calls_at_once(facts, booking, policy)
        ),
        (booking.calls.remaining < 1, Reason.CALLS_HELD),
        (facts.share < 1, Reason.SECONDS_HELD),
        (bool(policy.trunks) and not _trunks_up(facts.dead_trunks, policy), Reason.NO_TRUNK),
    )
    return next((reason for applies, reason in rules if applies), Reason.PUT_THROUGH)


def _calls_at_once(facts: Facts, booking: Booking, policy: Policy) -> Sequence[tuple[int | None, int, Reason]]:
    """Returns the limits of calls at once: the most, how many are up, and the reason to refuse another one."""
    # Every call that is up, ringing or talking, has leased one of the booking's calls: `calls.leased` counts them.
    return (
        (policy.most_ringing(facts.source), facts.caller_ringing, Reason.CALLER_RINGING),
        (limits_in_force(booking, policy).max_concurrent_calls, booking.calls.leased, Reason.CONCURRENCY_LIMIT),
        (facts.account_limit, facts.account_calls, Reason.ACCOUNT_LIMIT),
    )


def limit_reached(facts: Facts, policy: Policy) -> Reason | None:
    """Returns the first limit of calls at once that is reached: one more call needs a ringing call to give way."""
    if facts.booking is None:
        return None
    limits = _calls_at_once(facts, facts.booking, policy)
    return next((reason for most, up, reason in limits if _reached(most, up)), None)


def decide(facts: Facts, now: EpochMs, policy: Policy, *, room_was_made: bool = False) -> RouteDecision | Preparation:
    """Decides on an incoming call.

    Args:
        facts: What the decision depends on.
        now: Epoch milliseconds.
        policy: The operator's choices.
        room_was_made: Whether the calls that are up have given back what they can: the result is no Preparation.
    """
    reason = judge(facts, now, policy)
    booking = facts.booking
    if booking is None or reason is not Reason.PUT_THROUGH:
        return _rejection(reason, booking)
    if facts.gives_way and (limit := limit_reached(facts, policy)):
        return _rejection(limit, booking) if room_was_made else EndRinging(facts.gives_way[limit])
    free = booking.seconds.remaining
    if facts.share > free and not room_was_made:
        return MakeRoom(booking.id, facts.share)
    seconds = min(facts.share, free)
    if not seconds:
        return _rejection(Reason.SECONDS_HELD, booking)
    return bridge(booking, seconds, facts.source, policy, facts.dead_trunks)


def _rejection(reason: Reason, booking: Booking | None) -> Reject:
    return replace(REJECTIONS[reason], reason=reason, booking_id=None if booking is None else booking.id)


def bridge(
    booking: Booking, seconds: int, source: str, policy: Policy, dead_trunks: frozenset[str] = frozenset()
) -> Bridge:
    """Returns the decision for a call from `source` that has leased `seconds`, over the trunks that are not dead."""
    shown = shown_caller(booking.caller_id, source, booking.service)
    routes = routes_to(booking.destination, shown, _trunks_up(dead_trunks, policy))
    return Bridge(booking, seconds, policy.ring_seconds, shown, routes)


def why_expired(booking: Booking) -> Reason:
    """Returns why an expired booking has expired."""
    if booking.exhausted_at is None:
        return Reason.END_REACHED
    return Reason.SECONDS_SPENT if booking.seconds.unspent < 1 else Reason.CALLS_SPENT


def _trunks_up(dead_trunks: frozenset[str], policy: Policy) -> Sequence[Trunk]:
    return [trunk for trunk in policy.trunks if trunk.name not in dead_trunks] if dead_trunks else policy.trunks


def _reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
