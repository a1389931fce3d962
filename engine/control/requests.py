"""What an operator may ask a running engine for, besides an adjustment.

The fields are text and whole numbers, because they travel as JSON: see engine.control.protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.bookings.adjustments import Adjustment
from engine.domain.ids import BookingId, CallId


@dataclass(frozen=True, slots=True)
class HangUp:
    """Ends one live call."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class EndCalls:
    """Ends all live calls of a booking."""

    booking_id: BookingId


@dataclass(frozen=True, slots=True)
class ShareSeconds:
    """Gives seconds that a booking was granted to its live calls."""

    booking_id: BookingId


# The operations' names on the socket.
NAMES: Mapping[type, str] = {Adjustment: "adjust", HangUp: "hang_up", EndCalls: "end_calls", ShareSeconds: "share"}


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a request.

    Attributes:
        calls: Number of calls that the request concerned.
        unreached: Number of these calls that could not be ended because Asterisk was not reachable.
    """

    calls: int = 0
    unreached: int = 0
