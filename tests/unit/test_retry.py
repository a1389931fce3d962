"""What follows an attempt to deliver a callback."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.retry import (
    AttemptOutcome,
    Delivered,
    GiveUp,
    HttpAnswer,
    NoAnswer,
    RetryAfter,
    RetryDecision,
    Trouble,
    decide,
    parse_retry_after,
)
from engine.domain.times import EpochMs

WAITS = (5_000, 300_000, 1_800_000, 7_200_000)
NOW = EpochMs(1_780_000_000_000)

failures = st.one_of(
    st.sampled_from(Trouble).map(NoAnswer),
    st.builds(
        HttpAnswer,
        st.integers(100, 599).filter(lambda status: not 200 <= status <= 299 and status != 410),
        st.none() | st.integers(0, 10**12),
    ),
)


@pytest.mark.parametrize(
    ("outcome", "attempt", "jitter", "decision"),
    [
        # Any 2xx is delivered, even on the last attempt.
        *[(HttpAnswer(status), 99, 0, Delivered()) for status in (200, 201, 202, 204, 299)],
        # 410 ends the delivery at once.
        (HttpAnswer(410, retry_after_ms=1_000), 1, 0, GiveUp()),
        # Every other status, and no answer, is retried.
        *[(HttpAnswer(status), 1, 0, RetryAfter(5_000)) for status in (301, 302, 303, 304, 307, 308, 400, 401, 404)],
        *[(HttpAnswer(status), 1, 0, RetryAfter(5_000)) for status in (408, 425, 429, 500, 503, 599)],
        *[(NoAnswer(trouble), 2, 0, RetryAfter(300_000)) for trouble in Trouble],
        # There is one more attempt than waits.
        *[(HttpAnswer(500), attempt, 0, RetryAfter(wait)) for attempt, wait in enumerate(WAITS, 1)],
        (HttpAnswer(500), len(WAITS) + 1, 0, GiveUp()),
        # Jitter adds up to a tenth.
        (HttpAnswer(500), 1, 0.5, RetryAfter(5_250)),
        (HttpAnswer(500), 1, 1, RetryAfter(5_500)),
        # Retry-After counts with 429 and 503, between the schedule's wait and the longest wait.
        (HttpAnswer(429, 60_000), 1, 0, RetryAfter(60_000)),
        (HttpAnswer(503, 60_000), 1, 0, RetryAfter(60_000)),
        (HttpAnswer(503, 10**12), 1, 0, RetryAfter(7_200_000)),
        (HttpAnswer(503, 0), 1, 0, RetryAfter(5_000)),
        (HttpAnswer(500, 60_000), 1, 0, RetryAfter(5_000)),
        (HttpAnswer(302, 60_000), 1, 0, RetryAfter(5_000)),
    ],
)
def test_the_outcome_of_an_attempt_decides_what_follows(
    outcome: AttemptOutcome, attempt: int, jitter: float, decision: RetryDecision
) -> None:
    assert decide(outcome, attempt, WAITS, jitter) == decision


def test_without_waits_there_is_one_attempt() -> None:
    assert decide(HttpAnswer(500), 1, (), 0.5) == GiveUp()


@given(failures, st.integers(1, 30), st.lists(st.integers(1, 10**8), max_size=20), st.floats(0, 1))
def test_a_failure_is_retried_within_the_bounds_of_the_schedule(
    outcome: AttemptOutcome, attempt: int, waits: list[int], jitter: float
) -> None:
    decision = decide(outcome, attempt, waits, jitter)
    if attempt > len(waits):
        assert decision == GiveUp()
    else:
        assert isinstance(decision, RetryAfter)
        assert waits[attempt - 1] <= decision.ms <= max(waits) * 1.1


def test_a_retry_decision_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        RetryAfter(1).ms = 2  # type: ignore[misc]  # that it is refused is what is tested


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        (" 120 ", 120_000),
        (formatdate(NOW / 1000 + 30, usegmt=True), 30_000),
        (formatdate(NOW / 1000 - 30, usegmt=True), 0),  # in the past: at once
        (formatdate(NOW / 1000 + 30, usegmt=True).replace("GMT", "-0000"), 30_000),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 5_000, None),
        ("soon", None),
        ("Mon, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(text: str, expected: int | None) -> None:
    assert parse_retry_after(text, NOW) == expected


@given(
    st.text(max_size=60)
    | st.from_regex(r"\A[A-Za-z]{3}, [0-9]{1,4} [A-Za-z]{3} [0-9]{1,6} [0-9:]{0,12} [+-]?[0-9A-Z]{0,9}\Z")
)
def test_any_retry_after_is_parsed_or_ignored(text: str) -> None:
    parsed = parse_retry_after(text, NOW)
    assert parsed is None or parsed >= 0


@given(st.integers(0, 10**8))
def test_dates_are_read_to_the_second(seconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOW, seconds=seconds)
    assert parse_retry_after(format_datetime(moment, usegmt=True), NOW) == seconds * 1000
