"""Measures all the time how late the event loop is, in which every call waits for its turn."""

import asyncio

from engine.runtime.tallies import Histogram

# Ten times a second: a pause counts for the part that is left of it when the sample is due.
SAMPLE_SECONDS = 0.1
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """How late the event loop was, while `run` runs.

    Attributes:
        seconds: How late each sample was.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(LAG_BOUNDS)
        self._handle: asyncio.TimerHandle | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Measures until `stop`."""
        self._next_sample()
        try:
            await stop.wait()
        finally:
            if self._handle is not None:
                self._handle.cancel()

    def _next_sample(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + SAMPLE_SECONDS
        self._handle = loop.call_at(due, self._sample, due)

    def _sample(self, due: float) -> None:
        self.seconds.add(max(0.0, asyncio.get_running_loop().time() - due))
        self._next_sample()
