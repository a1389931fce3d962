"""Growing waits between attempts at something that keeps failing."""

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from `first` to `longest` seconds, until `reset`.

    With `jitter`, the later half of each wait is random, so that several processes that lost the same peer do not
    come back at the same moment.
    """

    def __init__(self, first: float, longest: float, *, jitter: Callable[[float, float], float] | None = None) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._next = first

    def next(self) -> float:
        """Returns the seconds to wait before the next attempt."""
        wait = self._next
        self._next = min(2 * wait, self._longest)
        return wait if self._jitter is None else self._jitter(wait / 2, wait)

    def reset(self) -> None:
        """Starts again with the shortest wait, after an attempt that succeeded."""
        self._next = self._first


def with_jitter(first: float, longest: float) -> Backoff:
    """Returns a back-off whose waits are random between one half and the whole."""
    return Backoff(first, longest, jitter=random.uniform)
