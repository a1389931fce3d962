"""Clocks. Handed to whatever needs the time, so that tests can hand over another."""

import time
from typing import Protocol

from engine.domain.times import BootMs, EpochMs, Timestamp

TRIES = 5


class Clock(Protocol):
    def now(self) -> EpochMs:
        """Epoch milliseconds."""

    def timestamp(self) -> Timestamp:
        """The same, with the ticks of this machine."""


class SystemClock:
    def now(self) -> EpochMs:
        return EpochMs(time.time_ns() // 1_000_000)

    def timestamp(self) -> Timestamp:
        # What comes between two readings on a busy machine would pass for a wall clock that was set.
        for _ in range(TRIES):
            before, now, after = self._ticks(), self.now(), self._ticks()
            if after - before <= 1:
                break
        return Timestamp(now, after)

    @staticmethod
    def _ticks() -> BootMs:
        # BOOTTIME goes on through a restart of the engine and a suspend of the machine.
        return BootMs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)
