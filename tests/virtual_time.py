"""An event loop whose clock jumps to the next moment at which something is due, for parts that only wait.

with monkeypatch.context() as patch:
    patch.setattr(silent_trunks, "time", VIRTUAL)
    run(scenario())
"""

import asyncio
import selectors
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never waits: it moves the clock in place of that."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs code that neither uses sockets nor threads. Its time stands still while code runs."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


# In place of the module `time`, in a module under test.
VIRTUAL = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())


def run(scenario: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)
