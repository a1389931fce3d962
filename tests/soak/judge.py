"""Whether what was watched grew, by more than can be chance.

Of each series there are two findings. Under load: the median of the slopes between all pairs of samples (Theil and
Sen's, which a few outliers do not move) or the difference between the medians of the last and the first fifth,
whichever says more. At rest: before the load and behind it, when nothing is under way, the same must be left.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from engine.storage.checkpoints import Pace
from tests.soak.watch import Sample

FIFTHS = 5


@dataclass(frozen=True)
class Bound:
    """How much more there may be in the end: so much, and so much for each call. `rest`, `rest_a_call`: at rest; None:
    it is not compared. `empty`: at rest there must be none. `never`: more than so much at no time, whatever it does
    below that."""

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
    """`start`, `end`: medians of the first and the last fifth; `highest` of all. `an_hour`: the slope. `growth` over
    all of it, by that slope or by those medians. `rest`: before the load and behind it."""

    name: str
    start: float
    end: float
    highest: float
    an_hour: float
    growth: float
    rest: tuple[float, float]

    def faults(self, bound: Bound, calls: int) -> list[str]:
        found = []
        if self.growth > (most := bound.under_load(calls)):
            found.append(f"{self.name}: grew by {self.growth:,.0f} under load, {most:,.0f} at most")
        if self.highest > bound.never:
            found.append(f"{self.name}: {self.highest:,.0f} at one time, {bound.never:,.0f} at most")
        before, after = self.rest
        at_rest = bound.at_rest(calls)
        if at_rest is not None and after - before > at_rest:
            found.append(
                f"{self.name}: at rest {before:,.0f} before and {after:,.0f} behind, {at_rest:,.0f} more at most"
            )
        if bound.empty and after > 0:
            found.append(f"{self.name}: {after:,.0f} are left at rest")
        return found


MEGABYTE = 1e6
PAGE_BYTES = 4096
# Rows of what has a term: as many as came within it, a little more where the last clean-up was some seconds ago.
ROWS = Bound(loaded=60, a_call=0.02)
BOUNDS: Mapping[str, Bound] = {
    # A page cache that fills, the heap's holes, what waits for the collector; what is lost in each call shows still.
    "resident bytes": Bound(loaded=8 * MEGABYTE, a_call=250, rest=8 * MEGABYTE, rest_a_call=250),
    # Rings of objects wait for Python's collector until they are some 75,000, so a slow climb says nothing. At rest it
    # has been through them, and what is left is what is kept; among it caches that fill: some hundred URLs, and of each
    # connection to the database 200 cursors that are gone.
    "pieces of memory": Bound(loaded=150_000, rest=8_000, rest_a_call=0.1),
    # What is under way, of which a machine that has other things to do holds more; at rest there is no excuse.
    "tasks": Bound(loaded=25, rest=0),
    "threads": Bound(loaded=1, rest=1),
    "open files and sockets": Bound(loaded=25, rest=1),
    # It grows until it is long, is then begun anew, and keeps its size until nothing is committed for a while. Twice as
    # long, where the machine has other things to do than bringing it over.
    "bytes of WAL": Bound(loaded=math.inf, never=2 * Pace().long * PAGE_BYTES),
    # Bookings and grants stay, and the pages of what goes are used again.
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
    """`samples`: two at least, in the order of time."""
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
    """Of what no bound is named for, ROWS holds: it can be nothing but the rows of some table."""
    return [fault for each in found for fault in each.faults(BOUNDS.get(each.name, ROWS), calls)]
