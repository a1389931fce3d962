"""What an operator may ask a running engine for, beside an adjustment: see `engine.operator`.

Text and whole numbers only: they travel as JSON, see `engine.control`.
"""

from dataclasses import dataclass

from engine.domain.ids import BookingId, CallId


@dataclass(frozen=True, slots=True)
class HangUp:
    """One live call."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class EndCalls:
    """All calls that are up on a booking."""

    booking_id: BookingId


@dataclass(frozen=True, slots=True)
class ShareSeconds:
    """A booking has got more than it had: its live calls may last longer."""

    booking_id: BookingId


@dataclass(frozen=True, slots=True)
class DiagnosticsRequest:
    """What the engine holds of itself now: see `engine.vitals`. `collected`: after Python's collector has been through
    all of it, which holds up calls for some milliseconds."""

    collected: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """How many `calls` it was about, and how many of them Asterisk could not be told of."""

    calls: int = 0
    unreached: int = 0
