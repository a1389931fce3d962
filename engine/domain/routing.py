"""What becomes of a call that came in: facts in, decision out."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.booking import Booking, BookingStatus, limits_in_force, longest_call, shown_caller, status_at
from engine.domain.ids import BookingId
from engine.domain.metering import seconds_to_lease
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import Policy
from engine.domain.sharing import ring_reserve
from engine.domain.times import EpochMs


class Disposition(StrEnum):
    """How a call ended, as its CDR says it."""

    ANSWERED = "ANSWERED"
    BUSY = "BUSY"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"
    UNREACHABLE = "UNREACHABLE"
    EXPIRED = "EXPIRED"
    PAUSED = "PAUSED"
    ALL_SLOTS_HELD = "ALL_SLOTS_HELD"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
    CALLER_LIMIT = "CALLER_LIMIT"
    CALLER_BLOCKED = "CALLER_BLOCKED"
    ANONYMOUS_REFUSED = "ANONYMOUS_REFUSED"
    FORBIDDEN = "FORBIDDEN"
    LOST = "LOST"


# The words of Asterisk's DIALSTATUS for a call that was not answered. What is not listed counts as UNREACHABLE.
UNANSWERED = {
    "BUSY": Disposition.BUSY,
    "NOANSWER": Disposition.NO_ANSWER,
    "CANCEL": Disposition.CANCELLED,
    # Dial had begun, or even connected, and the caller went away before anybody could talk.
    "ANSWER": Disposition.CANCELLED,
}


class Cause:
    """ISDN (Q.850) hangup causes; Asterisk makes the SIP answer of them: 1→404, 17→486, 19→480, 21→403, 22→410."""

    UNALLOCATED = 1
    USER_BUSY = 17
    NO_ANSWER = 19
    CALL_REJECTED = 21
    NUMBER_CHANGED = 22


@dataclass(frozen=True, slots=True)
class Bridge:
    """Ring the booking's destination for `ring_seconds`, and show it `shown` as the caller (a number, or ANONYMOUS).

    `seconds` are leased for the beginning; more come once it is answered.
    """

    booking: Booking
    seconds: int
    ring_seconds: int
    shown: str


@dataclass(frozen=True, slots=True)
class Reject:
    """End the call with `cause`. `disposition` None: no account is concerned, nothing is recorded."""

    cause: int
    disposition: Disposition | None
    notify_expired: bool = False


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Every second is leased to calls that are up and do not need them all: take some back, then ask again."""

    booking_id: BookingId
    seconds: int


RouteDecision = Bridge | Reject


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the decision on a call depends on, but for the time and the operator's choices.

    `booking`: the one that holds the dialled number, if any. `source`: the caller (see `caller_of`).
    `destination_is_ours`: its hidden number has meanwhile become one of our own; bridging would make a loop.
    `caller_blocked`: by the booking's owner. `caller_calls`: how many calls of this caller the booking has let through
    in the hour before now.
    """

    booking: Booking | None
    source: str = ANONYMOUS
    destination_is_ours: bool = False
    caller_blocked: bool = False
    caller_calls: int = 0


class Reason(StrEnum):
    """Why a call is put through or not, in the order in which it is looked at."""

    NO_BOOKING = "no_booking"
    END_REACHED = "end_reached"
    SECONDS_SPENT = "seconds_spent"
    CALLS_SPENT = "calls_spent"
    PAUSED = "paused"
    DESTINATION_IS_OURS = "destination_is_ours"
    DESTINATION_NOT_ALLOWED = "destination_not_allowed"
    CALLER_BLOCKED = "caller_blocked"
    ANONYMOUS_REFUSED = "anonymous_refused"
    CALLER_LIMIT = "caller_limit"
    CONCURRENCY_LIMIT = "concurrency_limit"
    CALLS_HELD = "calls_held"
    SECONDS_HELD = "seconds_held"
    PUT_THROUGH = "put_through"


UNKNOWN_NUMBER = Reject(Cause.UNALLOCATED, None)
BOOKING_EXPIRED = Reject(Cause.NUMBER_CHANGED, Disposition.EXPIRED, notify_expired=True)
# "Temporarily Unavailable": whoever calls is not told to forget the number, nor that it is busy.
BOOKING_PAUSED = Reject(Cause.NO_ANSWER, Disposition.PAUSED)
ALL_SLOTS_HELD = Reject(Cause.USER_BUSY, Disposition.ALL_SLOTS_HELD)
CONCURRENCY_LIMIT = Reject(Cause.USER_BUSY, Disposition.CONCURRENCY_LIMIT)
CALLER_LIMIT = Reject(Cause.CALL_REJECTED, Disposition.CALLER_LIMIT)
CALLER_BLOCKED = Reject(Cause.CALL_REJECTED, Disposition.CALLER_BLOCKED)
ANONYMOUS_REFUSED = Reject(Cause.CALL_REJECTED, Disposition.ANONYMOUS_REFUSED)
FORBIDDEN = Reject(Cause.CALL_REJECTED, Disposition.FORBIDDEN)

REJECTIONS: dict[Reason, Reject] = {
    Reason.NO_BOOKING: UNKNOWN_NUMBER,
    Reason.END_REACHED: BOOKING_EXPIRED,
    Reason.SECONDS_SPENT: BOOKING_EXPIRED,
    Reason.CALLS_SPENT: BOOKING_EXPIRED,
    Reason.PAUSED: BOOKING_PAUSED,
    Reason.DESTINATION_IS_OURS: FORBIDDEN,
    Reason.DESTINATION_NOT_ALLOWED: FORBIDDEN,
    Reason.CALLER_BLOCKED: CALLER_BLOCKED,
    Reason.ANONYMOUS_REFUSED: ANONYMOUS_REFUSED,
    Reason.CALLER_LIMIT: CALLER_LIMIT,
    Reason.CONCURRENCY_LIMIT: CONCURRENCY_LIMIT,
    Reason.CALLS_HELD: ALL_SLOTS_HELD,
    Reason.SECONDS_HELD: ALL_SLOTS_HELD,
}


def judge(facts: Facts, now: EpochMs, policy: Policy) -> Reason:
    """The only place that says whether a call may be put through, to whoever asks: the call itself, or `explain`."""
    booking = facts.booking
    if booking is None or (status := status_at(booking, now, policy)) is BookingStatus.GONE:
        return Reason.NO_BOOKING
    if status is BookingStatus.EXPIRED:
        return why_expired(booking)
    return _judge_active(facts, booking, policy)


def _judge_active(facts: Facts, booking: Booking, policy: Policy) -> Reason:
    limits = limits_in_force(booking, policy)
    # Every call that is up, ringing or talking, holds one of the booking's calls: `calls.leased` counts them.
    rules = (
        # Before all that says more of the booking: while it is paused, whoever calls is told the same.
        (booking.paused, Reason.PAUSED),
        (facts.destination_is_ours, Reason.DESTINATION_IS_OURS),
        (policy.destinations.broken_rule(booking.destination) is not None, Reason.DESTINATION_NOT_ALLOWED),
        (facts.caller_blocked, Reason.CALLER_BLOCKED),
        (booking.refuse_anonymous and facts.source == ANONYMOUS, Reason.ANONYMOUS_REFUSED),
        (_reached(limits.max_calls_per_caller_per_hour, facts.caller_calls), Reason.CALLER_LIMIT),
        (_reached(limits.max_concurrent_calls, booking.calls.leased), Reason.CONCURRENCY_LIMIT),
        (booking.calls.remaining < 1, Reason.CALLS_HELD),
        (booking.seconds.remaining < 1, Reason.SECONDS_HELD),
    )
    return next((reason for applies, reason in rules if applies), Reason.PUT_THROUGH)


def decide(facts: Facts, now: EpochMs, policy: Policy, *, room_was_made: bool = False) -> RouteDecision | MakeRoom:
    """`room_was_made`: calls that are up have given back what they can; MakeRoom is then never the answer."""
    reason = judge(facts, now, policy)
    booking = facts.booking
    if booking is not None and reason is Reason.PUT_THROUGH:
        return _bridge(booking, facts.source, now, policy)
    if booking is not None and reason is Reason.SECONDS_HELD and not room_was_made:
        return MakeRoom(booking.id, ring_reserve(booking.seconds.unspent))
    return REJECTIONS[reason]


def bridge(booking: Booking, seconds: int, source: str, policy: Policy) -> Bridge:
    """A call from `source` that has leased `seconds`."""
    return Bridge(booking, seconds, policy.ring_seconds, shown_caller(booking.caller_id, source, booking.service))


def _bridge(booking: Booking, source: str, now: EpochMs, policy: Policy) -> Bridge:
    wanted = min(ring_reserve(booking.seconds.unspent), booking.seconds.remaining)
    seconds = seconds_to_lease(wanted, booking.end_at - now, longest_call(booking, policy))
    return bridge(booking, seconds, source, policy)


def why_expired(booking: Booking) -> Reason:
    """Of one that is."""
    if booking.exhausted_at is None:
        return Reason.END_REACHED
    return Reason.SECONDS_SPENT if booking.seconds.unspent < 1 else Reason.CALLS_SPENT


def _reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit


def unanswered_disposition(dial_status: str) -> Disposition:
    return UNANSWERED.get(dial_status, Disposition.UNREACHABLE)
