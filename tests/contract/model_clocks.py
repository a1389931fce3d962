"""The clocks of the state machine, and the gate at which it delays whatever is under way."""

import asyncio
from collections import deque
from datetime import UTC, datetime
from typing import Any

from engine.domain.times import BootMs, EpochMs, Timestamp
from tests.contract.samples import START

# So many that only a task which never waits takes them all.
MOST_TURNS = 10_000


class Clocks:
    """The wall clock and the boot clock. They diverge when the wall clock is set."""

    def __init__(self) -> None:
        self._now: int = START
        self.ticks = 1_000

    @property
    def now(self) -> EpochMs:
        return EpochMs(self._now)

    @now.setter
    def now(self, instant: int) -> None:
        self._now = instant

    @property
    def wall_ahead_ms(self) -> int:
        return self.now - self.ticks

    def timestamp(self) -> Timestamp:
        return Timestamp(EpochMs(self.now), BootMs(self.ticks))

    @property
    def in_utc(self) -> str:
        """Returns the time as the dialplan reports it."""
        return datetime.fromtimestamp(self.now // 1000, UTC).strftime("%Y%m%d%H%M%S") + f"{self.now % 1000:03}"


class Gate:
    """Where everything that leaves or enters the engine can be delayed."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def passed(self) -> None:
        if self.held:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    @property
    def is_empty(self) -> bool:
        return all(each.done() for each in self._waiting)

    def let_pass(self, turn: int = 0) -> None:
        self._waiting = deque(each for each in self._waiting if not each.done())
        if self._waiting:
            self._waiting.rotate(-(turn % len(self._waiting)))
            self._waiting.popleft().set_result(None)

    def open(self) -> None:
        self.held = False
        while self._waiting:
            self.let_pass()


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by the boot clock."""

    def __init__(self, clocks: Clocks) -> None:
        super().__init__()
        self._clocks = clocks

    def time(self) -> float:
        return self._clocks.ticks / 1000

    def run_until_all_wait(self) -> None:
        """Runs all tasks until each waits for a gate, a time or an event."""
        inner: Any = self
        for _ in range(MOST_TURNS):
            self.call_soon(self.stop)
            self.run_forever()
            if not inner._ready:
                return
        raise AssertionError("a task turns without end")
