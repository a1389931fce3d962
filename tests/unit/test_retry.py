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


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered_even_on_the_last_attempt(status: int) -> None:
    assert decide(HttpAnswer(status), 99, WAITS, 0) == Delivered()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 400, 401, 404, 408, 425, 429, 500, 503, 599])
def test_every_other_status_is_retried(status: int) -> None:
    assert decide(HttpAnswer(status), 1, WAITS, 0) == RetryAfter(5_000)


@pytest.mark.parametrize("trouble", Trouble)
def test_no_answer_is_retried(trouble: Trouble) -> None:
    assert decide(NoAnswer(trouble), 2, WAITS, 0) == RetryAfter(300_000)


def test_status_410_ends_the_delivery_at_once() -> None:
    assert decide(HttpAnswer(410, retry_after_ms=1_000), 1, WAITS, 0) == GiveUp()


def test_the_schedule_has_one_more_attempt_than_waits() -> None:
    decisions = [decide(HttpAnswer(500), attempt, WAITS, 0) for attempt in range(1, 6)]
    assert decisions == [*(RetryAfter(wait) for wait in WAITS), GiveUp()]


def test_without_waits_there_is_one_attempt() -> None:
    assert decide(HttpAnswer(500), 1, (), 0.5) == GiveUp()


@pytest.mark.parametrize(
    ("status", "asked", "wait"),
    [
        (429, 60_000, 60_000),
        (503, 60_000, 60_000),
        (503, 10**12, 7_200_000),  # never longer than the longest wait
        (503, 0, 5_000),  # never shorter than the schedule
        (500, 60_000, 5_000),  # only 429 and 503 may ask
        (302, 60_000, 5_000),
    ],
)
def test_retry_after_is_honoured_within_bounds(status: int, asked: int, wait: int) -> None:
    assert decide(HttpAnswer(status, asked), 1, WAITS, 0) == RetryAfter(wait)


def test_jitter_adds_up_to_a_tenth() -> None:
    assert decide(HttpAnswer(500), 1, WAITS, 0.5) == RetryAfter(5_250)
    assert decide(HttpAnswer(500), 1, WAITS, 1) == RetryAfter(5_500)


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


@given(st.lists(failures, min_size=30, max_size=30), st.lists(st.integers(1, 10**8), max_size=20))
def test_every_delivery_ends(outcomes: list[AttemptOutcome], waits: list[int]) -> None:
    decisions = [decide(outcome, attempt, waits, 0) for attempt, outcome in enumerate(outcomes, 1)]
    assert decisions.index(GiveUp()) == len(waits)


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
