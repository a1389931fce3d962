"""Judges whether a watched figure grew by more than chance.

It checks each series twice. Under load, growth is the larger of two figures: the median of the slopes between all pairs
of samples (Theil-Sen, which outliers hardly change), and the difference between the medians of the last and the first
fifth. At rest, before and after the load, the figures must be equal.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from engine.storage.checkpoints import Pace
from engine.storage.sqlite import CACHE_KIB
from tests.soak.watch import Sample

FIFTHS = 5


@dataclass(frozen=True)
class Bound:
    """How much a figure may grow.

    Attributes:
        loaded: Permitted growth under load.
        a_call: Additional growth for each call.
        rest: Permitted growth at rest; None if it is not compared.
        rest_a_call: Additional growth at rest for each call.
        empty: Whether it must be 0 at rest.
        never: The value that it may never exceed.
    """

    loaded: float
    a_call: float = 0.0
    rest: float | None = None
    rest_a_call: float = 0.0
    empty: bool = False
    never: float = math.inf

    def under_load(self, calls: int) -> float:
        return self.loaded + self.a_call * calls

    def at_rest(self, calls: int) -> float | None:
        return None if self.rest is None else self.rest + self.rest_a_call * calls


@dataclass(frozen=True)
class Trend:
    """How a figure developed.

    Attributes:
        start: The median of the first fifth.
        end: The median of the last fifth.
        highest: The highest value.
        an_hour: The slope, for an hour.
        growth: The growth over the whole time, by the slope or by the medians.
        rest: The values at rest, before and after the load.
    """

    name: str
    start: float
    end: float
    highest: float
    an_hour: float
    growth: float
    rest: tuple[float, float]

    def faults(self, bound: Bound, calls: int) -> list[str]:
        found = []
        if self.growth > (limit := bound.under_load(calls)):
            found.append(f"{self.name}: grew by {self.growth:,.0f} under load, limit {limit:,.0f}")
        if self.highest > bound.never:
            found.append(f"{self.name}: reached {self.highest:,.0f}, limit {bound.never:,.0f}")
        before, after = self.rest
        at_rest = bound.at_rest(calls)
        if at_rest is not None and after - before > at_rest:
            found.append(
                f"{self.name}: at rest {before:,.0f} before and {after:,.0f} after, limit of growth {at_rest:,.0f}"
            )
        if bound.empty and after > 0:
            found.append(f"{self.name}: {after:,.0f} remain at rest")
        return found


MEGABYTE = 1e6
PAGE_BYTES = 4096
MEMORY = 8 * MEGABYTE + CACHE_KIB * 1024
# Rows with a retention time: their number is constant, plus those that came since the last clean-up some seconds ago.
ROWS = Bound(loaded=60, a_call=0.02)
BOUNDS: Mapping[str, Bound] = {
    # The database's page cache fills; the heap has gaps, and holds objects that wait for the garbage collector.
    "resident bytes": Bound(loaded=MEMORY, a_call=250, rest=MEMORY, rest_a_call=250),
    # Up to some 75,000 objects in reference cycles wait for the garbage collector, so slow growth is no finding. At
    # rest the collector has run, and what remains is really kept. That includes caches: some hundred URLs, and 200
    # closed cursors of each database connection.
    "pieces of memory": Bound(loaded=150_000, rest=8_000, rest_a_call=0.1),
    # Work in progress, of which a busy machine has more. At rest there must be none.
    "tasks": Bound(loaded=25, rest=0),
    "threads": Bound(loaded=1, rest=1),
    "open files and sockets": Bound(loaded=25, rest=1),
    # The log grows to its limit, begins anew, and keeps its size until a pause in commits. On a busy machine, where
    # copying is late, it may grow to twice the limit.
    "bytes of WAL": Bound(loaded=math.inf, never=2 * Pace().long * PAGE_BYTES),
    # Bookings and grants are kept for ever; SQLite reuses the pages of deleted rows.
    "bytes of database": Bound(loaded=4 * MEGABYTE, a_call=500),
    "calls up": Bound(loaded=25, empty=True, rest=0),
    "callbacks pending": Bound(loaded=25, empty=True, rest=0),
    "bookings not gone": Bound(loaded=25),
    "bookings gone, not forgotten": ROWS,
    "numbers at rest": ROWS,
    "rows of bookings, less what was made": Bound(loaded=2, rest=0),
    "rows of grants, less what was made": Bound(loaded=2, rest=0),
    "rows of numbers": Bound(loaded=0, rest=0),
    "rows of accounts": Bound(loaded=0, rest=0),
    "rows of api_keys": Bound(loaded=0, rest=0),
}


def trend(name: str, samples: Sequence[Sample], rest: tuple[Sample, Sample]) -> Trend:
    """Computes the trend of a figure from two or more samples in the order of time."""
    at, values = [each.at for each in samples], [each.values[name] for each in samples]
    slope = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(zip(at, values, strict=True), 2))
    fifth = max(1, len(values) // FIFTHS)
    start, end = median(values[:fifth]), median(values[-fifth:])
    growth = max(slope * (at[-1] - at[0]), end - start)
    before, after = (each.values[name] for each in rest)
    return Trend(name, start, end, max(values), slope * 3600, growth, (before, after))


def trends(samples: Sequence[Sample], rest: tuple[Sample, Sample]) -> list[Trend]:
    return [trend(name, samples, rest) for name in samples[0].values]


def faults(found: Sequence[Trend], calls: int) -> list[str]:
    """Compares all trends with their bounds. A figure without a bound is a table's row count, so ROWS applies."""
    return [fault for each in found for fault in each.faults(BOUNDS.get(each.name, ROWS), calls)]
