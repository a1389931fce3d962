"""Call records as people ask for them: filtered, newest call first, a bounded piece of work at a time.

A filter is not looked up in an index of its own: on the largest table that would be random order, and a place more that
holds people's numbers. Records are looked at in the order of the list instead, so many and no more for one answer; an
answer may then have few records or none, and says where to go on.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from engine.storage.cdrs import Between, CallRecord, CdrPosition, WantedRecords
from engine.storage.reads import Reads

# For one answer; some milliseconds of the thread that all reads share.
LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class RecordPage:
    """`more_after`: the place after which the next page begins; None: this was the last."""

    records: list[CallRecord]
    more_after: CdrPosition | None


async def record_page(
    reads: Reads, wanted: WantedRecords, after: CdrPosition | None, at_most: int, *, looked_at: int = LOOKED_AT
) -> RecordPage:
    """Up to `at_most` records older than `after`. Raises StorageUnavailable."""
    newest = CdrPosition(wanted.until, "")
    before = newest if after is None else min(after, newest)
    between = Between(before, last=CdrPosition(wanted.since, ""))
    looked_up_to = await _end_of_look(reads, wanted, between, looked_at) if wanted.is_filtered else None
    if looked_up_to is not None:
        between = Between(before, last=looked_up_to)
    records = await reads.cdrs(wanted, between, limit=at_most + 1)
    if len(records) > at_most:
        shown = records[:at_most]
        return RecordPage(shown, place_of(shown[-1]))
    return RecordPage(records, looked_up_to)


async def record_batches(reads: Reads, wanted: WantedRecords, size: int) -> AsyncGenerator[list[CallRecord], None]:
    """All of them, `size` at most at a time and sometimes none. Nothing is held open in between."""
    after: CdrPosition | None = None
    while True:
        page = await record_page(reads, wanted, after, size)
        yield page.records
        if page.more_after is None:
            return
        after = page.more_after


def place_of(record: CallRecord) -> CdrPosition:
    return CdrPosition(record.cdr.started_at, record.cdr.id)


async def _end_of_look(reads: Reads, wanted: WantedRecords, between: Between, looked_at: int) -> CdrPosition | None:
    """The last record that is looked at; None: the range's end is nearer."""
    places = await reads.cdr_places(wanted.account_id, between, skipped=looked_at - 1)
    return places[0] if len(places) > 1 else None
