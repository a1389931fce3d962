"""What becomes of callbacks, and when no more go to an endpoint: a URL of an account. Pure: instants are passed in."""

from enum import StrEnum

from engine.domain.retry import GONE, Answered, AttemptOutcome, NotAnswered, Trouble


class CallbackState(StrEnum):
    """PENDING: it will be tried, or is being. FAILED: given up. HELD: its endpoint is disabled."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    HELD = "HELD"


class WhyDisabled(StrEnum):
    GONE = "GONE"
    FAILING = "FAILING"


def is_its_failure(outcome: AttemptOutcome) -> bool:
    """Whether a failed attempt is the endpoint's: a fault of ours must disable nobody."""
    return outcome != NotAnswered(Trouble.INTERNAL)


def why_disabled(
    outcome: AttemptOutcome, *, tries: int, failing_since: int, now: int, disable_after_ms: int
) -> WhyDisabled | None:
    """Why an endpoint is disabled after a failed attempt; None: it is not.

    `tries`: of this callback, in its present schedule. A first try disables nothing for having failed long: after a
    quiet time it may be the first one in days, and its next try is seconds away.
    """
    if isinstance(outcome, Answered) and outcome.status == GONE:
        return WhyDisabled.GONE
    if tries > 1 and now - failing_since >= disable_after_ms:
        return WhyDisabled.FAILING
    return None
