"""Counts how long the engine takes to tell Asterisk what to do with a call."""

from enum import StrEnum

from engine.domain.rejections import UNKNOWN_NUMBER
from engine.domain.routing import AskPin, Bridge, RouteDecision
from engine.runtime.tallies import Histogram

# In seconds. Most take a few milliseconds, and none more than CALL_DEADLINE_SECONDS.
ROUTE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class RouteResult(StrEnum):
    """What the engine told Asterisk.

    Attributes:
        BRIDGED: To put the call through.
        REFUSED: To refuse it.
        UNKNOWN_NUMBER: The same for a number that no booking holds. Such calls have no record.
        PIN_ASKED: To ask the caller for the PIN of a pair, after which it asks again.
        FAILED: Nothing: the storage failed, it took too long, or the caller hung up meanwhile.
    """

    BRIDGED = "bridged"
    REFUSED = "refused"
    UNKNOWN_NUMBER = "unknown_number"
    PIN_ASKED = "pin_asked"
    FAILED = "failed"


class RouteTallies:
    """How long each route took, by its result."""

    def __init__(self) -> None:
        self.seconds = {result: Histogram(ROUTE_BOUNDS) for result in RouteResult}

    def note(self, decision: RouteDecision | None, seconds: float) -> None:
        """Counts a route. `decision` is None if Asterisk did not get one."""
        self.seconds[_result(decision)].add(seconds)


def _result(decision: RouteDecision | None) -> RouteResult:
    if decision is None:
        return RouteResult.FAILED
    if isinstance(decision, Bridge):
        return RouteResult.BRIDGED
    if isinstance(decision, AskPin):
        return RouteResult.PIN_ASKED
    return RouteResult.UNKNOWN_NUMBER if decision == UNKNOWN_NUMBER else RouteResult.REFUSED
