"""Finds calls on which the database and the telephones disagree.

Rules for a call that was in no killed Asterisk ("untouched"):
  answered    It has exactly one record, ANSWERED. Its duration is the talk time in whole seconds, rounded up, ± 1. The
              talk lasts at least until the first BYE, and at most until Asterisk's last message on the call. Talk past
              the lease is not charged; it counts as overspent.
  unanswered  It costs nothing.
Rules for a call in a killed Asterisk ("touched"), whose end no program can report:
  answered    Its records together charge no more than the talk time until the kill, rounded up, + 1, and never more
              than its lease. They may charge less, and nothing if the engine did not get the answer's report.
  unanswered  It costs nothing, or one second if the callee had just answered.
Rules for every call: a call that reached a hidden number had a lease before. And no call is cut off while its booking
has plenty left, whatever happens to the engine.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.books import Books, Entry
from tests.chaos.seen import Seen
from tests.chaos.trouble import Outage

OutagesOf = Callable[[Seen], Sequence[Outage]]

# Asterisk may be killed while it still reports an end.
REPORT_SECONDS = 1.0
# The error of times that three programs read to the millisecond.
READING_SECONDS = 0.05
# The engine assumes that a call answered without it was answered when it came in, so it may be cut earlier by this.
CUT_SHORT_SECONDS = 0.5


@dataclass(frozen=True)
class Mismatch:
    """What is wrong with the call from `source`; what the telephones saw, and what the database recorded."""

    source: str
    what: str
    seen: str
    recorded: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what}\n    telephones: {self.seen}\n    database:   {self.recorded}"


def mismatches(
    seen: Sequence[Seen], books: Books, outages_of: OutagesOf, expected: Mapping[str, float]
) -> list[Mismatch]:
    """Finds all mismatches.

    Args:
        seen: What the telephones saw.
        books: What the database holds.
        outages_of: The kills of the Asterisk that a call was in.
        expected: Seconds that calls on ample bookings would talk, by the caller's number.
    """
    found = [Mismatch("ledger", rule, "-", ", ".join(ids[:20])) for rule, ids in books.broken.items()]
    for call in seen:
        entries = books.of(call.source)
        outages = outages_of(call)
        killed_at = killed(call, outages)
        what = _wrong_way(call, entries) or _wrong_price(call, entries, outages)
        if not what and killed_at is None and call.talked is not None:
            what = _cut_short(call, expected.get(call.source, 0.0))
        if what:
            found.append(Mismatch(call.source, what, _saw(call), _recorded(entries)))
    known = {call.source for call in seen}
    unknown = sorted(books.entries.keys() - known)
    return found + [
        Mismatch(each, "in the database, but no telephone made this call", "-", _recorded(books.of(each)))
        for each in unknown
    ]


def killed(call: Seen, outages: Sequence[Outage]) -> float | None:
    """When Asterisk was first killed during the call, or while it was still reporting the end; None if never."""
    ended = math.inf if call.ended is None else max(call.ended, call.over) + REPORT_SECONDS
    return next((each.began for each in outages if each.ended >= call.dialled and each.began <= ended), None)


def _wrong_way(call: Seen, entries: Sequence[Entry]) -> str:
    if any(entry.records != 1 or entry.ended is None for entry in entries):
        return "it has not exactly one record"
    for reached, entry in zip(sorted(call.reached), entries, strict=False):
        if entry.started > reached + READING_SECONDS:
            return "it rang before it had a lease"
    return "it rang without a lease" if len(call.reached) > len(entries) else ""


def _wrong_price(call: Seen, entries: Sequence[Entry], outages: Sequence[Outage]) -> str:
    charged = sum(entry.charged or 0 for entry in entries)
    if killed(call, outages) is not None:
        return _wrong_price_of_touched(call, charged, outages)
    if call.status != 200 or call.answered is None:
        return "it was charged, but not answered" if charged else ""
    if call.talked is None:
        return "it was answered, but its end was never seen"
    answered = [entry for entry in entries if entry.charged]
    if [entry.disposition for entry in answered] != ["ANSWERED"]:
        return "it was answered, but has not exactly one ANSWERED record"
    least = min(math.ceil(call.talked) - 1, answered[0].leased)
    most = math.ceil(max(call.over, call.ended or 0.0) - call.answered) + 1
    return "" if least <= charged <= most else "its charge differs from its talk time"


def _wrong_price_of_touched(call: Seen, charged: int, outages: Sequence[Outage]) -> str:
    if call.answered is None:
        return "it was charged, but not answered before Asterisk was killed" if charged > 1 else ""
    # The restarted Asterisk may have answered a repeated INVITE.
    kills = [outage.began for outage in outages if outage.began > call.answered]
    until = min([math.inf if call.ended is None else max(call.ended, call.over), *kills])
    allowed = math.ceil(until - call.answered) + 1 if until < math.inf else 1
    return "" if charged <= allowed else f"its charge exceeds its talk time until Asterisk was killed ({allowed})"


def _cut_short(call: Seen, wanted: float) -> str:
    assert call.answered is not None
    assert call.talked is not None
    lenience = call.answered - call.dialled + CUT_SHORT_SECONDS
    return f"it was cut off, although it should have lasted {wanted:.2f} s" if call.talked < wanted - lenience else ""


def _saw(call: Seen) -> str:
    parts = [f"dialled {_clock(call.dialled)}", f"status {call.status}"]
    if call.answered is not None:
        parts.append(f"answered {_clock(call.answered)}")
    if call.ended is not None:
        parts.append(f"ended {_clock(call.ended)}")
    if call.talked is not None:
        parts.append(f"talked {call.talked:.3f} s, over {_clock(call.over)}")
    return ", ".join([*parts, f"rang {len(call.reached)} time(s)"])


def _recorded(entries: Sequence[Entry]) -> str:
    if not entries:
        return "nothing"
    return "; ".join(
        f"{entry.call_id} {entry.state} leased {entry.leased} charged {entry.charged} from {_clock(entry.started)}"
        f" to {_clock(entry.ended) if entry.ended else '?'}, {entry.records} record(s) {entry.disposition or ''}"
        for entry in entries
    )


def _clock(at: float) -> str:
    """Seconds of the day, which are enough to find a time in the logs."""
    return f"{at % 86400:.3f}"
