"""When a call to an expired booking is reported, and when credit is low."""

import pytest

from engine.domain.metering import Credit
from engine.domain.notifications import ExpiredCalls, count_in_window, is_low
from engine.domain.policy import NotificationRules
from engine.domain.times import EpochMs
from tests.contract.samples import HOUR, START

RULES = NotificationRules(expired_callbacks=3, expired_window_ms=HOUR, low_seconds=60)


def count(
    calls: int, window: ExpiredCalls | None = None, now: EpochMs = START
) -> tuple[ExpiredCalls | None, list[int]]:
    """Counts that many simultaneous calls; returns the window, and `not_reported` of each reported call."""
    reports = []
    for number in range(calls):
        counted = count_in_window(window, f"cdr_{number}", now, RULES)
        window = counted.window
        if counted.not_reported is not None:
            reports.append(counted.not_reported)
    return window, reports


def test_only_the_configured_number_is_reported_and_the_last_suppressed_call_is_kept() -> None:
    window, reports = count(1_000)
    assert reports == [0, 0, 0]
    assert window == ExpiredCalls(START, 3, 997, "cdr_999")


def test_the_first_report_of_the_next_window_counts_the_suppressed_calls() -> None:
    window, _ = count(10)
    assert count(1, window, EpochMs(START + HOUR - 1))[1] == []
    later, reports = count(5, window, EpochMs(START + HOUR))
    assert reports == [7, 0, 0]
    assert later == ExpiredCalls(EpochMs(START + HOUR), 3, 2, "cdr_4")


def test_a_clock_set_back_suppresses_no_report() -> None:
    window, _ = count(10)
    assert count(1, window, EpochMs(START - 10 * HOUR)) == (ExpiredCalls(EpochMs(START - 10 * HOUR), 1, 0, None), [7])


@pytest.mark.parametrize(("remaining", "leased", "low"), [(60, 0, False), (59, 0, True), (1, 0, True), (0, 0, False)])
def test_credit_is_low_below_the_configured_seconds_and_above_zero(remaining: int, leased: int, low: bool) -> None:
    assert is_low(Credit(remaining + leased, remaining, leased, 0), RULES) is low


def test_seconds_held_by_live_calls_count_as_left() -> None:
    assert not is_low(Credit(100, 0, 100, 0), RULES)
    assert is_low(Credit(100, 0, 10, 90), RULES)
