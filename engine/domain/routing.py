"""Decides what happens to an incoming call: facts in, decision out.

To add a reason to reject a call: add it with its answer to rejections.py, its rule to `_judge_active` here, and its
sentence to explanation.SENTENCES. What its caller hears is in prompts.py. docs/architecture.md lists the other places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.domain.booking import Booking, BookingStatus, CallerId, limits_in_force, shown_caller, status_at
from engine.domain.directions import Direction
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import ANONYMOUS, E164, is_e164
from engine.domain.policy import Policy
from engine.domain.prompts import Prompt
from engine.domain.rejections import REJECTIONS, Reason, Reject
from engine.domain.times import EpochMs
from engine.domain.trunks import Trunk, TrunkRoute, routes_to


@dataclass(frozen=True, slots=True)
class Bridge:
    """Put the call through.

    Attributes:
        booking: The booking that was called.
        destination: The number that rings: a hidden number or, in a reverse call, who called last.
        seconds: The lease: the call's share of what is left.
        ring_seconds: How long the destination rings.
        shown: The caller's number as the destination sees it, or ANONYMOUS.
        routes: The ways to the destination, in the order in which they are tried.
        direction: The direction of the call.
    """

    booking: Booking
    destination: E164
    seconds: int
    ring_seconds: int
    shown: str
    routes: tuple[TrunkRoute, ...] = ()
    direction: Direction = Direction.FORWARD

    @property
    def rings_hidden_number(self) -> bool:
        """Whether a hidden number is called, to which calls may be announced."""
        return self.direction is not Direction.REVERSE


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Take `seconds` back from the calls that are up, then decide again. They hold more than their shares."""

    booking_id: BookingId
    seconds: int


@dataclass(frozen=True, slots=True)
class EndRinging:
    """End a call that rings, then decide again: a limit of calls at once is reached, and this call gives way."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class AskPin:
    """Ask the caller for the PIN of a pair, then decide again.

    Attributes:
        prompt: What the caller hears. A caller who keys in nothing is refused as if the number were unknown.
    """

    prompt: Prompt


RouteDecision = Bridge | Reject | AskPin
# What must happen in Asterisk before the call can be decided on.
Preparation = MakeRoom | EndRinging


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision on a call depends on, besides the time and the operator's policy.

    Attributes:
        booking: The booking that holds the dialled number, of pairs the caller's own; None if there is none.
        number_is_shared: Without a booking: whether the dialled number carries pairs, none of them the caller's.
        source: The caller, as `caller_of` returns it; in a pair, as the carrier asserts it.
        destination_is_ours: Whether a hidden number is a rented number by now; bridging would make a loop.
        caller_blocked: Whether the booking blocks this caller.
        caller_calls: Calls of this caller that were put through on the booking within the last hour.
        caller_ringing: Calls of this caller that ring on the booking now.
        account_calls: Calls that are up on all bookings of the account.
        account_limit: The most of them; None for no limit.
        gives_way: For limits of calls at once, by their reasons: the ringing call that ends if the limit is reached.
            Where there is none, the newcomer is refused.
        share: The seconds that the call may lease, though other calls may hold them now. 0: there are none for it.
        dead_trunks: The names of trunks that are known to be down.
        account_suspended: Whether the booking's account is suspended or closed.
        direction: The direction of the call. In a reverse call, `source` is the hidden number.
        last_caller: The last caller, whom a reverse call reaches: E.164 or as sent; None if there is none.
        is_former_caller: Whether the caller reached another booking that had the number.
        pins_closed: Of a caller who is no participant of the pair: whether the number takes no PINs now.
    """

    booking: Booking | None
    source: str = ANONYMOUS
    destination_is_ours: bool = False
    caller_blocked: bool = False
    caller_calls: int = 0
    caller_ringing: int = 0
    account_calls: int = 0
    account_limit: int | None = None
    gives_way: Mapping[Reason, CallId] = field(default_factory=dict)
    share: int = 0
    dead_trunks: frozenset[str] = frozenset()
    account_suspended: bool = False
    direction: Direction = Direction.FORWARD
    last_caller: str | None = None
    number_is_shared: bool = False
    is_former_caller: bool = False
    pins_closed: bool = False

    @property
    def is_reverse(self) -> bool:
        """Whether the hidden number calls."""
        return self.direction is Direction.REVERSE

    @property
    def callee(self) -> str | None:
        """The number that the call reaches; None if there is none."""
        if self.is_reverse:
            return self.last_caller
        return None if self.booking is None else self.booking.reached_by(self.source)


def judge(facts: Facts, now: EpochMs, policy: Policy) -> Reason:
    """Returns why the call is put through or rejected.

    Both the call itself and the API's explanation use this function, so that they cannot disagree.
    """
    booking = facts.booking
    if booking is None or (status := status_at(booking, now, policy)) is BookingStatus.GONE:
        return Reason.NOT_A_PARTICIPANT if facts.number_is_shared else Reason.NO_BOOKING
    if (reason := _why_not_meant(facts, booking, policy)) is not None:
        return reason
    if facts.account_suspended:
        # Before the expiry, whose callback asks for a renewal that the account cannot make.
        return Reason.ACCOUNT_SUSPENDED
    if status is BookingStatus.EXPIRED:
        return why_expired(booking)
    if booking.start_at is not None and now < booking.start_at:
        return Reason.NOT_BEGUN
    return _judge_active(facts, booking, now, policy)


def _why_not_meant(facts: Facts, booking: Booking, policy: Policy) -> Reason | None:
    """Returns why a caller does not mean this booking, whatever its state is; None for all others.

    No callback about such a call is due, so this comes first.
    """
    if booking.reached_by(facts.source) is None:
        if not (booking.has_pins and policy.speaks):
            return Reason.NOT_A_PARTICIPANT
        return Reason.PINS_CLOSED if facts.pins_closed else Reason.PIN_NEEDED
    is_former = facts.is_former_caller and facts.direction is Direction.FORWARD
    return Reason.CHANGED_HANDS if is_former and not booking.accept_former_callers else None


def _judge_active(facts: Facts, booking: Booking, now: EpochMs, policy: Policy) -> Reason:
    limits = limits_in_force(booking, policy)
    rules = (
        # First, so that a paused booking gives every caller the same answer.
        (booking.paused, Reason.PAUSED),
        (booking.hours is not None and not booking.hours.are_open(now), Reason.OUTSIDE_HOURS),
        *(_reverse_rules if facts.is_reverse else _forward_rules)(facts, policy),
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


def _forward_rules(facts: Facts, policy: Policy) -> Sequence[tuple[bool, Reason]]:
    """Returns the rules for who is called where that is a hidden number."""
    return (
        (facts.destination_is_ours, Reason.DESTINATION_IS_OURS),
        (policy.destinations.broken_rule(facts.callee or "") is not None, Reason.DESTINATION_NOT_ALLOWED),
    )


def _reverse_rules(facts: Facts, policy: Policy) -> Sequence[tuple[bool, Reason]]:
    """Returns the rules for who is called by a reverse call. No operator's rule allows emergency and short numbers."""
    callee = facts.last_caller
    return (
        (callee is None, Reason.NO_LAST_CALLER),
        (callee is not None and not _may_be_called(callee, policy), Reason.LAST_CALLER_NOT_ALLOWED),
    )


def _may_be_called(number: str, policy: Policy) -> bool:
    return is_e164(number) and policy.destinations.broken_rule(number) is None


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


def decide(facts: Facts, now: EpochMs, policy: Policy, *, room_was_made: bool = False) -> Bridge | Reject | Preparation:
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
    # `judge` has refused all calls that reach no number.
    return bridge(booking, E164(facts.callee or ""), seconds, facts.source, policy, facts.dead_trunks, facts.direction)


def _rejection(reason: Reason, booking: Booking | None) -> Reject:
    rejection = REJECTIONS[reason]
    return rejection if booking is None else replace(rejection, booking_id=booking.id, language=booking.language)


def bridge(
    booking: Booking,
    destination: E164,
    seconds: int,
    source: str,
    policy: Policy,
    dead_trunks: frozenset[str] = frozenset(),
    direction: Direction = Direction.FORWARD,
) -> Bridge:
    """Returns the decision for a call from `source` that has leased `seconds`, over the trunks that are not dead."""
    # A caller who is called back sees the rented number, and so do the two of a pair.
    choice = booking.caller_id if direction is Direction.FORWARD else CallerId.SERVICE
    shown = shown_caller(choice, source, booking.service)
    routes = routes_to(destination, shown, _trunks_up(dead_trunks, policy))
    return Bridge(booking, destination, seconds, policy.ring_seconds, shown, routes, direction)


def why_expired(booking: Booking) -> Reason:
    """Returns why an expired booking has expired."""
    if booking.exhausted_at is None:
        return Reason.END_REACHED
    return Reason.SECONDS_SPENT if booking.seconds.unspent < 1 else Reason.CALLS_SPENT


def _trunks_up(dead_trunks: frozenset[str], policy: Policy) -> Sequence[Trunk]:
    return [trunk for trunk in policy.trunks if trunk.name not in dead_trunks] if dead_trunks else policy.trunks


def _reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
