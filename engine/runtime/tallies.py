"""Counts of what happens, made of plain integers: the hot paths add to them, and the metrics read them when asked.

Each tally is added to by one thread only. Another thread may read it meanwhile: it may then miss what is being added.
"""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts values by size. The buckets are fixed, so it never grows.

    Attributes:
        bounds: The upper bound of each bucket, itself included, in ascending order. One more bucket has no bound.
        counts: How many values each bucket has; its last element is the bucket without a bound.
        total: The sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Counts a value that occurred so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times
