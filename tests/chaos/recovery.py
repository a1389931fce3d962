"""Measures how long after a kill calls are bridged again and all leases are right."""

import math
from collections.abc import Iterable, Sequence

from tests.chaos.books import Books, Entry
from tests.chaos.judge import OutagesOf, killed
from tests.chaos.seen import Seen, Span
from tests.chaos.trouble import Outage

# Every lease ends a little after its call; up to this time that is no fault.
SETTLING_SECONDS = 0.5


def bridged_again(seen: Sequence[Seen], outages: Sequence[Outage]) -> list[float]:
    """For each kill: seconds until the first call that was dialled after it reached its hidden number."""
    found = []
    for outage in outages:
        rang = [min(call.reached) for call in seen if call.reached and call.dialled > outage.began]
        if rang:
            found.append(min(rang) - outage.began)
    return found


def books_right(spans: Sequence[Span], outages: Sequence[Outage]) -> list[float]:
    """For each kill: seconds until every lease that it left behind was settled; 0 if it left none."""
    return [
        max((end - outage.began for began, end in spans if _meets(began, end, outage)), default=0.0)
        for outage in outages
    ]


def settled_after(books: Books, outages: Sequence[Outage]) -> list[float]:
    """For each lease that was open in a killed Asterisk: seconds until it was settled."""
    entries = [entry for entries in books.entries.values() for entry in entries]
    return [
        (entry.ended or math.inf) - outage.began
        for outage in outages
        for entry in entries
        if entry.started < outage.began < (entry.ended or math.inf)
    ]


def wrong_spans(seen: Iterable[Seen], books: Books, asterisk: Sequence[Outage]) -> list[Span]:
    """Spans of time in which a lease was open after its call had ended."""
    spans = []
    for call in seen:
        killed_at = killed(call, asterisk)
        for entry in books.of(call.source):
            over = _over(call, entry, killed_at)
            until = entry.ended or math.inf
            if over is not None and until - over > SETTLING_SECONDS:
                spans.append((over, until))
    return spans


def overruns(seen: Iterable[Seen], books: Books, outages_of: OutagesOf, stalls: Sequence[Span]) -> list[float]:
    """For each answered call: seconds that it talked past its leases, until it ended or its Asterisk was killed."""
    found = []
    for call in seen:
        over = killed(call, outages_of(call)) or math.inf
        until = min(over, call.ended or math.inf)
        if call.answered is not None and call.answered < until < math.inf:
            limit = call.answered + sum(entry.leased for entry in books.of(call.source))
            still = [min(end, until) - max(began, limit) for began, end in stalls]
            found.append(until - limit - max((0.0, *still)))
    return found


def spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95))
    return f"p50 {p50:.2f} s, p95 {p95:.2f} s, longest {ordered[-1]:.2f} s"


def _over(call: Seen, entry: Entry, killed_at: float | None) -> float | None:
    """When the call of a lease really ended; None if no telephone saw it."""
    if killed_at is not None and entry.started < killed_at:
        return killed_at if call.ended is None else min(killed_at, call.ended)
    return call.ended


def _meets(began: float, end: float, outage: Outage) -> bool:
    return began <= outage.ended + SETTLING_SECONDS and end >= outage.began
