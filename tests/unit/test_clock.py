"""The two clocks of a moment are read together."""

import time

import pytest

from engine.runtime.clock import SystemClock


def test_a_moment_is_now_by_both_clocks() -> None:
    before = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    moment = SystemClock().timestamp()
    after = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert before[0] <= moment.wall_ms <= after[0]
    assert before[1] <= moment.boot_ms <= after[1]


def test_clocks_between_which_the_machine_did_something_else_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000, 1_400, 1_401, 1_402])
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms == 1_402


def test_a_machine_that_never_reads_both_at_once_gives_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1_000_000, 300))
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms > 0
