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
class Done:
    """How many `calls` it was about, and how many of them Asterisk could not be told of."""

    calls: int = 0
    unreached: int = 0


@dataclass(frozen=True, slots=True)
class HowLate:
    """How late the engine's event loop has been since this was last asked."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """In milliseconds, of so many `looks`. `busy_ms`: how much of the time up to the longest one the loop itself was at
    work; the rest it was kept from working. `pauses`: looks that were more than 10 ms late."""

    looks: int
    p99_ms: int
    longest_ms: int
    busy_ms: int
    pauses: int
