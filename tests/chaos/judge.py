"""Where the books and the telephones disagree.

The rules, for a call that was alive in no Asterisk that was killed ("untouched"):
  answered    exactly one record, ANSWERED; its duration is the talk time in whole seconds, rounded up, ± 1. The talk
              lasts until the first BYE at least, and at most until Asterisk's last word on the call. What it talked
              past its lease is not charged; it is counted as overspent
  unanswered  costs nothing
For one that was alive in an Asterisk that was killed ("touched"), of which nothing can report the end:
  answered    its records together charge no more than what it talked until the kill, rounded up, + 1; never more
              than its lease; it may be less, down to nothing when the engine had not heard of the answer either
  unanswered  costs nothing, or one second if the callee had answered just then
For every call: what reached a hidden number has a lease in the books from before it did. And nobody is cut off whose
booking has plenty left, whatever happens to the engine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.books import Books, Entry
from tests.chaos.seen import Seen
from tests.chaos.trouble import Outage, Trouble

# An end that Asterisk was still reporting when it was killed.
REPORT_SECONDS = 1.0
# Clocks of three programs, read to the millisecond.
READING_SECONDS = 0.05
# A call that was answered without the engine is taken for answered when it came in: it may be cut so much earlier.
CUT_SHORT_SECONDS = 0.5


@dataclass(frozen=True)
class Mismatch:
    """`what` is wrong with the call from `source`; `saw`: the telephones, `said`: the books."""

    source: str
    what: str
    saw: str
    said: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what}\n    telephones: {self.saw}\n    books:      {self.said}"


def mismatches(seen: Sequence[Seen], books: Books, trouble: Trouble, expected: Mapping[str, float]) -> list[Mismatch]:
    """`expected`: seconds that calls would talk whose booking has plenty, by the caller's number."""
    found = [Mismatch("ledger", rule, "-", ", ".join(ids[:20])) for rule, ids in books.broken.items()]
    for call in seen:
        entries = books.of(call.source)
        killed_at = killed(call, trouble.asterisk)
        what = _wrong_way(call, entries) or _wrong_price(call, entries, trouble.asterisk)
        if not what and killed_at is None and call.talked is not None:
            what = _cut_short(call, expected.get(call.source, 0.0))
        if what:
            found.append(Mismatch(call.source, what, _saw(call), _said(entries)))
    known = {call.source for call in seen}
    unknown = sorted(books.entries.keys() - known)
    return found + [Mismatch(each, "in the books, and nobody called", "-", _said(books.of(each))) for each in unknown]


def killed(call: Seen, outages: Sequence[Outage]) -> float | None:
    """When the first Asterisk was killed that the call was alive in, or that was still reporting its end."""
    ended = math.inf if call.ended is None else max(call.ended, call.over) + REPORT_SECONDS
    return next((each.began for each in outages if each.ended >= call.dialled and each.began <= ended), None)


def _wrong_way(call: Seen, entries: Sequence[Entry]) -> str:
    if any(entry.records != 1 or entry.ended is None for entry in entries):
        return "a call without exactly one record"
    for reached, entry in zip(sorted(call.reached), entries, strict=False):
        if entry.started > reached + READING_SECONDS:
            return "rang before it had a lease"
    return "rang without a lease" if len(call.reached) > len(entries) else ""


def _wrong_price(call: Seen, entries: Sequence[Entry], outages: Sequence[Outage]) -> str:
    charged = sum(entry.charged or 0 for entry in entries)
    if killed(call, outages) is not None:
        return _wrong_price_of_touched(call, charged, outages)
    if call.status != 200 or call.answered is None:
        return "charged, and was not answered" if charged else ""
    if call.talked is None:
        return "answered, and its end was never seen"
    answered = [entry for entry in entries if entry.charged]
    if [entry.disposition for entry in answered] != ["ANSWERED"]:
        return "answered, and has not exactly one record that says so"
    least = min(math.ceil(call.talked) - 1, answered[0].leased)
    most = math.ceil(max(call.over, call.ended or 0.0) - call.answered) + 1
    return "" if least <= charged <= most else "charged another time than it talked"


def _wrong_price_of_touched(call: Seen, charged: int, outages: Sequence[Outage]) -> str:
    if call.answered is None:
        return "charged, and was not answered before Asterisk was killed" if charged > 1 else ""
    # An INVITE that was sent again to the next Asterisk may have been answered there.
    kills = [outage.began for outage in outages if outage.began > call.answered]
    until = min([math.inf if call.ended is None else max(call.ended, call.over), *kills])
    allowed = math.ceil(until - call.answered) + 1 if until < math.inf else 1
    return "" if charged <= allowed else f"charged more than it can have talked until Asterisk was killed ({allowed})"


def _cut_short(call: Seen, wanted: float) -> str:
    assert call.answered is not None
    assert call.talked is not None
    lenience = call.answered - call.dialled + CUT_SHORT_SECONDS
    return f"cut off, and wanted {wanted:.2f} s" if call.talked < wanted - lenience else ""


def _saw(call: Seen) -> str:
    parts = [f"dialled {_clock(call.dialled)}", f"status {call.status}"]
    if call.answered is not None:
        parts.append(f"answered {_clock(call.answered)}")
    if call.ended is not None:
        parts.append(f"ended {_clock(call.ended)}")
    if call.talked is not None:
        parts.append(f"talked {call.talked:.3f} s, over {_clock(call.over)}")
    return ", ".join([*parts, f"rang {len(call.reached)} time(s)"])


def _said(entries: Sequence[Entry]) -> str:
    if not entries:
        return "nothing"
    return "; ".join(
        f"{entry.call_id} {entry.state} leased {entry.leased} charged {entry.charged} from {_clock(entry.started)}"
        f" to {_clock(entry.ended) if entry.ended else '?'}, {entry.records} record(s) {entry.disposition or ''}"
        for entry in entries
    )


def _clock(at: float) -> str:
    """Seconds of the day are enough to find a moment in the logs."""
    return f"{at % 86400:.3f}"
