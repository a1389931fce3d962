"""What the destination is shown of who calls."""

from enum import StrEnum

from engine.domain.numbers import ANONYMOUS


class CallerId(StrEnum):
    """The choice of a booking: the caller's own number, the rented one that was dialled, or none."""

    CALLER = "caller"
    SERVICE = "service"
    ANONYMOUS = "anonymous"


def shown_caller(choice: CallerId, source: str, service: str) -> str:
    """The number to show, or ANONYMOUS. Callers who withhold their number are never shown by it."""
    shown = {CallerId.CALLER: source, CallerId.SERVICE: service, CallerId.ANONYMOUS: ANONYMOUS}
    return shown[choice]
