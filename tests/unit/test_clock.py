"""A timestamp reads both clocks at the same moment."""

import time

import pytest

from engine.runtime.clock import SystemClock


def test_a_timestamp_is_the_present_time_of_both_clocks() -> None:
    before = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    moment = SystemClock().timestamp()
    after = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert before[0] <= moment.wall_ms <= after[0]
    assert before[1] <= moment.boot_ms <= after[1]


def test_the_clocks_are_read_again_if_a_pause_separates_the_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000, 1_400, 1_401, 1_402])
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms == 1_402


def test_after_the_last_retry_the_readings_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1_000_000, 300))
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms > 0
