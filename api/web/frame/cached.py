"""A value that is kept for a while: however many ask for it, it is read once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """A value that many pages show, and that takes a while to read.

    Args:
        seconds: How long a value is fresh.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: tuple[float, T] | None = None
        self._turn = asyncio.Lock()

    async def get(self, read: Callable[[], Awaitable[T]]) -> T:
        """Returns the value; `read` reads it when it is not fresh."""
        async with self._turn:
            if self._kept is None or time.monotonic() - self._kept[0] >= self._seconds:
                self._kept = time.monotonic(), await read()
            return self._kept[1]
