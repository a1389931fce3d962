"""Decides what follows an attempt to deliver a callback. The caller passes in the time and the jitter.

Three things end a delivery: a 2xx answer, a 410 answer (the receiver wants no more callbacks), and the end of the
schedule. Everything else is tried again. That includes redirects: the engine does not follow them, because a receiver
could then choose where the engine connects.
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
# Answers whose Retry-After header counts (RFC 9110, 15.6.4; RFC 6585, 4).
MAY_ASK_FOR_TIME = frozenset({429, 503})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = re.compile("[0-9]{1,9}")


class Trouble(StrEnum):
    """Why an attempt ended without an HTTP status."""

    TIMEOUT = "timeout"
    CONNECTION = "connection failed"
    TLS = "TLS failed"
    FORBIDDEN = "address not allowed"
    MALFORMED = "answer not understood"
    INTERNAL = "internal error"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The receiver answered.

    Attributes:
        status: The HTTP status.
        retry_after_ms: The wait that the Retry-After header asks for; None without that header.
    """

    status: int
    retry_after_ms: int | None = None

    def __str__(self) -> str:
        return f"HTTP {self.status}"

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted the callback."""
        return 200 <= self.status <= 299


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The attempt ended without an HTTP status."""

    trouble: Trouble

    def __str__(self) -> str:
        return self.trouble.value


AttemptOutcome = HttpAnswer | NoAnswer


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver accepted the callback."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The next attempt is due `ms` milliseconds from now."""

    ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt follows."""


RetryDecision = Delivered | RetryAfter | GiveUp


def decide(outcome: AttemptOutcome, attempt: int, waits_ms: Sequence[int], jitter: float) -> RetryDecision:
    """Decides what follows an attempt.

    A receiver that asks for time gets it, up to the longest wait of the schedule. It never gets less than the schedule
    gives: `Retry-After: 0` must not use up all attempts within a moment. Jitter only lengthens a wait.

    Args:
        outcome: How the attempt ended.
        attempt: Its number in the schedule, from 1.
        waits_ms: The waits between attempts, in milliseconds.
        jitter: A random number from 0 to 1.
    """
    if isinstance(outcome, HttpAnswer):
        if outcome.is_success:
            return Delivered()
        if outcome.status == GONE:
            return GiveUp()
    if attempt > len(waits_ms):
        return GiveUp()
    wait = max(waits_ms[attempt - 1], min(_time_asked_for(outcome), max(waits_ms)))
    return RetryAfter(wait + int(wait * JITTER * jitter))


def parse_retry_after(value: str, now: EpochMs) -> int | None:
    """Parses a Retry-After header (RFC 9110, 10.2.3).

    Returns:
        Milliseconds from `now`; None if the value is neither seconds nor a date.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return int(text) * 1000
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # HTTP dates are in GMT. The parser returns no zone for "-0000".
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return max(0, (aware - _EPOCH) // timedelta(milliseconds=1) - now)


def _time_asked_for(outcome: AttemptOutcome) -> int:
    if isinstance(outcome, HttpAnswer) and outcome.status in MAY_ASK_FOR_TIME:
        return outcome.retry_after_ms or 0
    return 0


class CallbackState(StrEnum):
    """State of a callback in the outbox.

    Theory of operation: the transaction that causes a callback inserts it as PENDING. The callback worker moves it to
    DELIVERED or, at the end of the schedule, to FAILED. While the endpoint is disabled, its callbacks are HELD. A
    redelivery makes a callback PENDING again.
    """

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    HELD = "HELD"


class WhyDisabled(StrEnum):
    """Why an endpoint is disabled: it answered 410, or it has failed for too long."""

    GONE = "GONE"
    FAILING = "FAILING"


def is_endpoint_failure(outcome: AttemptOutcome) -> bool:
    """Returns whether a failed attempt counts against the endpoint. An internal error of the engine does not."""
    return outcome != NoAnswer(Trouble.INTERNAL)


def why_disabled(
    outcome: AttemptOutcome, *, tries: int, failing_since: EpochMs, now: EpochMs, disable_after_ms: int
) -> WhyDisabled | None:
    """Returns why a failed attempt disables its endpoint, or None if it does not.

    A callback's first try never disables an endpoint for failing too long: after a quiet time it may be the first try
    in days, and the next one follows within seconds.

    Args:
        outcome: How the attempt failed.
        tries: Attempts of this callback in its present schedule, including this one.
        failing_since: When the endpoint began to fail, in epoch milliseconds.
        now: Epoch milliseconds.
        disable_after_ms: How long an endpoint may fail.
    """
    if isinstance(outcome, HttpAnswer) and outcome.status == GONE:
        return WhyDisabled.GONE
    if tries > 1 and now - failing_since >= disable_after_ms:
        return WhyDisabled.FAILING
    return None
