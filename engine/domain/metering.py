"""Credit and leases: granted = remaining + leased + settled, at every moment, in whole seconds and whole calls.

A booking has two credits, seconds and calls. A call leases from both before it is bridged (`grant`), and gives
back what it did not use exactly once, at its end (`settle`). Every step returns new credit and cannot be built
into a state that does not add up: `Credit` checks itself.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.errors import IllegalTransition, InvariantBroken


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount in whole units. Raises InvariantBroken when built with parts that do not add up."""

    granted: int
    remaining: int
    leased: int
    settled: int

    def __post_init__(self) -> None:
        if min(self.remaining, self.leased, self.settled) < 0:
            raise InvariantBroken(f"negative part in {self!r}")
        if self.granted != self.remaining + self.leased + self.settled:
            raise InvariantBroken(f"parts do not add up in {self!r}")

    @classmethod
    def new(cls, amount: int) -> "Credit":
        return cls(granted=amount, remaining=amount, leased=0, settled=0)

    @property
    def unspent(self) -> int:
        """What may still be used by calls that come or that are up."""
        return self.remaining + self.leased

    def top_up(self, amount: int) -> "Credit":
        return Credit(self.granted + amount, self.remaining + amount, self.leased, self.settled)

    def lease(self, amount: int) -> "Credit":
        return Credit(self.granted, self.remaining - amount, self.leased + amount, self.settled)

    def settle(self, leased: int, used: int) -> "Credit":
        """End a lease of `leased` units of which `used` were spent; the rest becomes available again."""
        if not 0 <= used <= leased:
            raise InvariantBroken(f"{used} used of a lease of {leased}")
        return Credit(self.granted, self.remaining + leased - used, self.leased - leased, self.settled + used)


class CallState(StrEnum):
    """RINGING and LIVE calls hold a lease. SETTLED: answered, and charged. VOIDED: ended without an answer."""

    RINGING = "RINGING"
    LIVE = "LIVE"
    SETTLED = "SETTLED"
    VOIDED = "VOIDED"


class CallEvent(StrEnum):
    ANSWERED = "ANSWERED"
    ENDED_ANSWERED = "ENDED_ANSWERED"
    ENDED_UNANSWERED = "ENDED_UNANSWERED"


# ENDED_ANSWERED from RINGING: the report of the answer was lost, the end still says how long they talked.
# ENDED_UNANSWERED from LIVE: the callee picked up, but the caller was gone before the two were bridged.
CALL_TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.RINGING, CallEvent.ANSWERED): CallState.LIVE,
    (CallState.LIVE, CallEvent.ANSWERED): CallState.LIVE,
    (CallState.RINGING, CallEvent.ENDED_ANSWERED): CallState.SETTLED,
    (CallState.LIVE, CallEvent.ENDED_ANSWERED): CallState.SETTLED,
    (CallState.RINGING, CallEvent.ENDED_UNANSWERED): CallState.VOIDED,
    (CallState.LIVE, CallEvent.ENDED_UNANSWERED): CallState.VOIDED,
}


def next_state(state: CallState, event: CallEvent) -> CallState:
    """Raises IllegalTransition for a step that is not in the table (an ended call never moves again)."""
    try:
        return CALL_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a {state} call cannot take {event}") from None


def seconds_to_lease(remaining: int, until_end_ms: int, longest_call_seconds: int) -> int:
    """Whole seconds that a call may get now; 0 when there is not one. `until_end_ms`: to the booking's end.

    A second begun before the booking's end is leased whole; `talk_limit_ms` cuts the call at the end itself.
    """
    return max(0, min(remaining, -(-until_end_ms // 1000), longest_call_seconds))


def talk_limit_ms(leased: int, talked_ms: int, until_end_ms: int) -> int:
    """How much longer a call may last that was answered `talked_ms` ago; 0: it must end at once."""
    return max(0, min(leased * 1000 - talked_ms, until_end_ms))


# Less is the clock being steered.
CLOCK_STEP_MS = 500
# What Asterisk says of its clock may have been under way for so long, or the engine too busy to note when it came.
MESSAGE_MS = 3_000


def without_clock_step(answered_ms: int, *, ours: int, asterisks: int) -> int:
    """How long a call was answered, without what the wall clock was set forward or back meanwhile; 0: not at all.

    Asterisk measures by its wall clock. `asterisks`: by how much that was set between answer and end, as messages tell;
    `ours`: ours since the call came in, exactly. Both in milliseconds; they differ if they are two machines' clocks, or
    if it was set while it rang.
    """
    if answered_ms == 0:
        return 0
    step = min((0, ours), key=lambda exact: abs(asterisks - exact))
    if abs(asterisks - step) > MESSAGE_MS:
        step = asterisks
    return max(1, answered_ms - step if abs(step) > CLOCK_STEP_MS else answered_ms)


def seconds_charged(answered_ms: int, leased: int) -> int:
    """Every second begun counts, and never more than the lease.

    A call that is cut at its limit may be measured a few milliseconds past it; that overrun is the engine's, not
    the customer's.
    """
    return min(-(-max(0, answered_ms) // 1000), leased)
