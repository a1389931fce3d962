"""Clocks. Every part that needs the time takes one, so that tests can pass a clock of their own."""

import time
from typing import Protocol

from engine.domain.times import BootMs, EpochMs, Timestamp

MAX_READINGS = 5


class Clock(Protocol):
    """What the engine needs of a clock."""

    def now(self) -> EpochMs:
        """Returns the wall clock's time, in epoch milliseconds."""

    def timestamp(self) -> Timestamp:
        """Returns the wall clock's and the boot clock's time of the same moment."""


class SystemClock:
    """The machine's clocks.

    Args:
        ahead_ms: Added to the boot clock, where several machines compare its times.
    """

    def __init__(self, ahead_ms: int = 0) -> None:
        self._ahead_ms = ahead_ms

    def now(self) -> EpochMs:
        """Returns the wall clock's time, in epoch milliseconds."""
        return EpochMs(time.time_ns() // 1_000_000)

    def timestamp(self) -> Timestamp:
        """Returns the wall clock's and the boot clock's time of the same moment."""
        # A pause between the two readings would look like a wall clock that was set, so read again.
        for _ in range(MAX_READINGS):
            before, now, after = self._boot_ms(), self.now(), self._boot_ms()
            if after - before <= 1:
                break
        return Timestamp(now, after)

    def _boot_ms(self) -> BootMs:
        # CLOCK_BOOTTIME goes on while the engine restarts and while the machine is suspended.
        return BootMs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 + self._ahead_ms)
