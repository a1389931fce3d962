"""What follows an attempt to deliver a callback. Pure: the time and the jitter are passed in.

Only three things end a delivery: a 2xx, a 410 (the receiver wants no more of it), and the end of the schedule.
Everything else is tried again, a redirect too: following one would let a receiver choose where we connect.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from engine.domain.times import EpochMs

JITTER = 0.1
GONE = 410
MAY_ASK_FOR_TIME = frozenset({429, 503})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = re.compile("[0-9]{1,9}")


class Trouble(StrEnum):
    """Why an attempt brought no HTTP status."""

    TIMEOUT = "timeout"
    CONNECTION = "connection failed"
    TLS = "TLS failed"
    FORBIDDEN = "address not allowed"
    MALFORMED = "answer not understood"
    INTERNAL = "internal error"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The receiver answered with an HTTP status. `retry_after_ms`: the time it asked for, if it asked."""

    status: int
    retry_after_ms: int | None = None

    def __str__(self) -> str:
        return f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    trouble: Trouble

    def __str__(self) -> str:
        return self.trouble.value


AttemptOutcome = HttpAnswer | NoAnswer


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again `ms` milliseconds from now."""

    ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    pass


RetryDecision = Delivered | RetryAfter | GiveUp


def decide(outcome: AttemptOutcome, attempt: int, waits_ms: Sequence[int], jitter: float) -> RetryDecision:
    """What follows attempt number `attempt` (from 1). `waits_ms`: the waits between attempts; `jitter`: 0 to 1.

    A receiver that asks for time gets it, up to the longest wait of the schedule, and never less than the schedule
    gives: `Retry-After: 0` must not burn all attempts in a moment. Jitter only lengthens.
    """
    if isinstance(outcome, HttpAnswer):
        if 200 <= outcome.status <= 299:
            return Delivered()
        if outcome.status == GONE:
            return GiveUp()
    if attempt > len(waits_ms):
        return GiveUp()
    wait = max(waits_ms[attempt - 1], min(_time_asked_for(outcome), max(waits_ms)))
    return RetryAfter(wait + int(wait * JITTER * jitter))


def parse_retry_after(value: str, now: EpochMs) -> int | None:
    """Milliseconds from `now` (epoch milliseconds) that a Retry-After header asks for; None: not understood."""
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return int(text) * 1000
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # HTTP dates are in GMT; the parser leaves the zone out where the text does ("-0000").
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, (aware - _EPOCH) // timedelta(milliseconds=1) - now)


def _time_asked_for(outcome: AttemptOutcome) -> int:
    if isinstance(outcome, HttpAnswer) and outcome.status in MAY_ASK_FOR_TIME:
        return outcome.retry_after_ms or 0
    return 0


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
    return outcome != NoAnswer(Trouble.INTERNAL)


def why_disabled(
    outcome: AttemptOutcome, *, tries: int, failing_since: EpochMs, now: EpochMs, disable_after_ms: int
) -> WhyDisabled | None:
    """Why an endpoint is disabled after a failed attempt; None: it is not.

    `tries`: of this callback, in its present schedule. A first try disables nothing for having failed long: after a
    quiet time it may be the first one in days, and its next try is seconds away.
    """
    if isinstance(outcome, HttpAnswer) and outcome.status == GONE:
        return WhyDisabled.GONE
    if tries > 1 and now - failing_since >= disable_after_ms:
        return WhyDisabled.FAILING
    return None
