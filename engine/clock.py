"""The wall clock. Handed to whatever needs the time, so that tests can hand over another."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Epoch milliseconds."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000
