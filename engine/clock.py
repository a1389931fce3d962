"""Clocks. Handed to whatever needs the time, so that tests can hand over another."""

import time
from typing import Protocol

from engine.domain.times import Moment


class Clock(Protocol):
    def now(self) -> int:
        """Epoch milliseconds."""

    def moment(self) -> Moment:
        """The same, with the ticks of this machine."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def moment(self) -> Moment:
        # BOOTTIME goes on through a restart of the engine and a suspend of the machine.
        return Moment(self.now(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)
