"""Credit and leases, in whole seconds and whole calls.

At every moment, granted = remaining + leased + settled.

A booking has two credits, seconds and calls. A call leases from both before it is bridged (`Credit.lease`). At its end
it gives back what it did not use, exactly once (`Credit.settle`). Every step returns a new Credit, and a Credit that
does not add up cannot be built.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.errors import IllegalTransition, InvariantBroken


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount of seconds or calls and where it is.

    Attributes:
        granted: All that the booking was ever given.
        remaining: What no call has leased yet.
        leased: What calls that are up hold.
        settled: What ended calls used.

    Raises:
        InvariantBroken: The parts do not add up, or one is negative.
    """

    granted: int
    remaining: int
    leased: int
    settled: int

    def __post_init__(self) -> None:
        if self.remaining < 0 or self.leased < 0 or self.settled < 0:
            raise InvariantBroken(f"negative part in {self!r}")
        if self.granted != self.remaining + self.leased + self.settled:
            raise InvariantBroken(f"parts do not add up in {self!r}")

    @classmethod
    def new(cls, amount: int) -> "Credit":
        """Returns a credit of which nothing is leased or settled."""
        return cls(granted=amount, remaining=amount, leased=0, settled=0)

    @property
    def unspent(self) -> int:
        """What calls can still use: those that are up, and those to come."""
        return self.remaining + self.leased

    def top_up(self, amount: int) -> "Credit":
        """Grants `amount` more, or takes it out of what remains if negative."""
        return Credit(self.granted + amount, self.remaining + amount, self.leased, self.settled)

    def lease(self, amount: int) -> "Credit":
        """Moves `amount` from what remains into a lease, or back if negative."""
        return Credit(self.granted, self.remaining - amount, self.leased + amount, self.settled)

    def settle(self, leased: int, used: int) -> "Credit":
        """Ends a lease of `leased` units, of which `used` were spent; the rest remains again."""
        if not 0 <= used <= leased:
            raise InvariantBroken(f"{used} used of a lease of {leased}")
        return Credit(self.granted, self.remaining + leased - used, self.leased - leased, self.settled + used)


class CallState(StrEnum):
    """State of a call that was put through.

    Theory of operation: `route_call` inserts a call as RINGING, with a lease. The report of the answer makes it LIVE.
    The report of its end makes it SETTLED, with a charge, or VOIDED, without one. Reports may be lost, repeated or come
    late; reconciliation with Asterisk then does the same steps. SETTLED and VOIDED have no way out, so that a lease
    ends exactly once.
    """

    RINGING = "RINGING"
    LIVE = "LIVE"
    SETTLED = "SETTLED"
    VOIDED = "VOIDED"


class CallEvent(StrEnum):
    """What can happen to a call; how long it was answered decides between the two ends."""

    ANSWERED = "ANSWERED"
    ENDED_ANSWERED = "ENDED_ANSWERED"
    ENDED_UNANSWERED = "ENDED_UNANSWERED"


CALL_TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.RINGING, CallEvent.ANSWERED): CallState.LIVE,
    # A repeated report.
    (CallState.LIVE, CallEvent.ANSWERED): CallState.LIVE,
    # The report of the answer was lost; the report of the end still has the answered time.
    (CallState.RINGING, CallEvent.ENDED_ANSWERED): CallState.SETTLED,
    (CallState.LIVE, CallEvent.ENDED_ANSWERED): CallState.SETTLED,
    (CallState.RINGING, CallEvent.ENDED_UNANSWERED): CallState.VOIDED,
    # The callee picked up, but the caller hung up before the two were bridged.
    (CallState.LIVE, CallEvent.ENDED_UNANSWERED): CallState.VOIDED,
}


def next_state(state: CallState, event: CallEvent) -> CallState:
    """Returns the state after an event.

    Raises:
        IllegalTransition: The table does not have this step; an ended call never changes again.
    """
    try:
        return CALL_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a {state} call cannot take {event}") from None


def seconds_to_lease(remaining: int, until_end_ms: int, longest_call_seconds: int) -> int:
    """Returns the whole seconds that a call can lease now; 0 if there is none.

    The last second is leased whole if it begins before the booking's end; `talk_limit_ms` cuts the call at the end
    itself.

    Args:
        remaining: Seconds that the call could have by the credit alone.
        until_end_ms: Milliseconds until the booking's end.
        longest_call_seconds: The longest call on this booking.
    """
    return max(0, min(remaining, -(-until_end_ms // 1000), longest_call_seconds))


def talk_limit_ms(leased: int, talked_ms: int, until_end_ms: int) -> int:
    """Returns how many milliseconds longer a call may last; 0 means that it must end at once.

    Args:
        leased: The call's lease, in seconds.
        talked_ms: Milliseconds since its answer.
        until_end_ms: Milliseconds until the booking's end.
    """
    return max(0, min(leased * 1000 - talked_ms, until_end_ms))


# A smaller difference is NTP adjusting the clock's speed, not somebody setting it.
CLOCK_STEP_MS = 500
# How far Asterisk's time in a message can be off: the message was under way, or the engine was too busy to read it.
MESSAGE_MS = 3_000


def without_clock_step(answered_ms: int, *, engine_step_ms: int, asterisk_step_ms: int) -> int:
    """Returns how many milliseconds a call was answered, corrected for a wall clock that was set meanwhile.

    Asterisk measures the time by its wall clock. The two steps differ if engine and Asterisk run on two machines, or
    if the clock was set while the call rang.

    Args:
        answered_ms: Asterisk's measurement; 0 if the call was not answered.
        engine_step_ms: By how much the engine's wall clock was set since the call came in. This is exact.
        asterisk_step_ms: By how much Asterisk's wall clock was set between answer and end. This comes from Asterisk's
            messages and is off by as much as MESSAGE_MS.
    """
    if answered_ms == 0:
        return 0
    step = min((0, engine_step_ms), key=lambda exact: abs(asterisk_step_ms - exact))
    if abs(asterisk_step_ms - step) > MESSAGE_MS:
        step = asterisk_step_ms
    return max(1, answered_ms - step if abs(step) > CLOCK_STEP_MS else answered_ms)


def least_without_clock_step(answered_ms: int, step_ms: int) -> int:
    """Returns how many milliseconds a call was answered, if it is unknown whether a step of the clock was in the call.

    The wall clock was set after the answer: during the call, or after its end. Of the two durations that follow, the
    shorter one counts, unless it is impossible.

    Args:
        answered_ms: Asterisk's measurement; 0 if the call was not answered.
        step_ms: By how much the wall clock was set since the call came in.
    """
    if answered_ms == 0:
        return 0
    possible = (answered_ms, answered_ms - step_ms) if abs(step_ms) > CLOCK_STEP_MS else (answered_ms,)
    return min((each for each in possible if each > 0), default=1)


def seconds_charged(answered_ms: int, leased: int) -> int:
    """Returns the seconds to charge: every second begun, but never more than the lease.

    Asterisk may measure a call that it cuts at its limit as a few milliseconds longer; the customer does not pay for
    that.
    """
    return min(-(-max(0, answered_ms) // 1000), leased)
