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


@dataclass(frozen=True, slots=True)
class ShowTrunks:
    """Asks for the state of each trunk."""


# The operations' names on the socket.
NAMES: Mapping[type, str] = {
    Adjustment: "adjust",
    HangUp: "hang_up",
    EndCalls: "end_calls",
    ShareSeconds: "share",
    ShowTrunks: "trunks",
}


@dataclass(frozen=True, slots=True)
class ShownTrunk:
    """A trunk, as the engine knows it.

    Attributes:
        name: Its name.
        state: Its state, one of TrunkState.
        since: Since when it has this state, in epoch milliseconds.
        calls: Calls that are up on it, ringing or talking; None if Asterisk cannot be asked.
        sip_code: The SIP status of the last call that failed at the trunk; None if it gave none, or none has failed.
        failed_at: When that was, in epoch milliseconds; None if none has failed since the engine's start.
    """

    name: str
    state: str
    since: int
    calls: int | None
    sip_code: int | None
    failed_at: int | None


@dataclass(frozen=True, slots=True)
class ShownTrunks:
    """All trunks, in the operator's order."""

    trunks: list[ShownTrunk]


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a request.

    Attributes:
        calls: Number of calls that the request concerned.
        unreached: Number of these calls that could not be ended because Asterisk was not reachable.
    """

    calls: int = 0
    unreached: int = 0
