"""Today at a glance: the calls since midnight (UTC), and the state of the parts that calls need."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from api.web.frame.cached import Cached
from api.web.frame.site import Page, Visit
from engine.domain.dispositions import Disposition
from engine.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, EpochMs, rfc3339
from engine.domain.web_access import Role
from engine.runtime.tallies import Histogram
from engine.storage.console_reads import CallsOfHour, ConsoleReads

FRESH_SECONDS = 10.0
# The most records that are summed up. On busier days the page shows the sums of the newest ones, and says so.
MOST_RECORDS = 50_000
HOURS = 24


@dataclass(frozen=True, slots=True)
class Figures:
    """What is read from the database for all who look at the page."""

    since: EpochMs
    hours: Sequence[CallsOfHour]
    numbers: Mapping[str, int]
    callbacks: Mapping[str, int]


class Today:
    """The page, and the figures that were read for it."""

    def __init__(self) -> None:
        self._figures = Cached[Figures](FRESH_SECONDS)

    def page(self) -> Page:
        """Returns the page."""
        return Page(
            "",
            "Today",
            Role.VIEWER,
            "console/today.html",
            self.load,
            command="report --month $(date -u +%Y-%m)",
            api="/health",
            refresh_seconds=15,
        )

    async def load(self, visit: Visit) -> Mapping[str, Any]:
        """Returns the page's data."""
        figures = await self._figures.get(lambda: read_figures(visit.services.reads, visit.now))
        return calls_data(figures) | {
            "numbers": dict(figures.numbers),
            "callbacks": dict(figures.callbacks),
            "trunks": dict(visit.deps.trunks()),
            "parts": visit.deps.health(),
            "postDialSeconds": post_dial_data(visit.services.tallies.calls.post_dial_seconds.values()),
        }


async def read_figures(reads: ConsoleReads, now: EpochMs) -> Figures:
    """Reads the figures of the day. Raises StorageError."""
    since = EpochMs(now - now % DAY_MS)
    return Figures(
        since,
        await reads.calls_by_hour(since, MOST_RECORDS),
        await reads.numbers_by_state(),
        await reads.callback_counts(due_before=EpochMs(now - MINUTE_MS), since=since),
    )


def calls_data(figures: Figures) -> dict[str, Any]:
    """Sums up the calls by how they ended and by the hour."""
    by_disposition, by_hour, answered = Counter[str](), Counter[int](), Counter[int]()
    for each in figures.hours:
        by_disposition[each.disposition.value] += each.calls
        by_hour[each.hour] += each.calls
        answered[each.hour] += each.calls if each.disposition is Disposition.ANSWERED else 0
    calls, picked_up = by_disposition.total(), by_disposition[Disposition.ANSWERED.value]
    hours = range(HOURS)
    return {
        "since": rfc3339(figures.since),
        "calls": calls,
        "isPartial": calls >= MOST_RECORDS,
        "answered": picked_up,
        "answerPercent": round(100 * picked_up / calls) if calls else None,
        "seconds": sum(each.seconds for each in figures.hours),
        "byDisposition": dict(by_disposition.most_common()),
        "hours": {
            "at": [(figures.since + hour * HOUR_MS) // 1000 for hour in hours],
            "calls": [by_hour[hour] for hour in hours],
            "answered": [answered[hour] for hour in hours],
        },
    }


def post_dial_data(histograms: Iterable[Histogram]) -> dict[str, float | None]:
    """Returns bounds of the median and the 95th percentile of the post-dial delays since the start, in seconds."""
    every = list(histograms)
    counts = [sum(column) for column in zip(*(each.counts for each in every), strict=True)]
    return {"median": _bound(every[0], counts, 0.5), "p95": _bound(every[0], counts, 0.95)}


def _bound(histogram: Histogram, counts: Sequence[int], share: float) -> float | None:
    """Returns the upper bound of the bucket that holds the quantile `share`; None if no bucket does."""
    wanted = share * sum(counts)
    for bound, count in zip(histogram.bounds, accumulate(counts), strict=False):
        if count and count >= wanted:
            return bound
    return None
