"""What an operator may ask a running engine for, beside an adjustment: see `engine.operator`.

Text and whole numbers only: they travel as JSON, see `engine.control`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HangUp:
    """One live call."""

    call_id: str


@dataclass(frozen=True, slots=True)
class EndCalls:
    """All calls that are up on a booking."""

    booking_id: str


@dataclass(frozen=True, slots=True)
class Share:
    """A booking has got more than it had: its live calls may last longer."""

    booking_id: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the engine holds of itself now: see `engine.vitals`. `collected`: after Python's collector has been through
    all of it, which holds up calls for some milliseconds."""

    collected: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """How many `calls` it was about, and how many of them Asterisk could not be told of."""

    calls: int = 0
    unreached: int = 0


@dataclass(frozen=True, slots=True)
class HowLate:
    """How late the engine's event loop has been since this was last asked, if it was watched: so many seconds from now
    it is."""

    watch_seconds: int


@dataclass(frozen=True, slots=True)
class Lateness:
    """In milliseconds, of so many `looks`. `own_ms`: the longest that could be the engine's own doing, for its threads
    were at work so long; what is beyond that it waited for the machine. `pauses`: looks more than 10 ms late."""

    looks: int
    p99_ms: int
    longest_ms: int
    own_ms: int
    pauses: int
