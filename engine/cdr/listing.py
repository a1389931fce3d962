"""Lists call records, filtered, newest call first, a bounded amount of work at a time.

Filters have no index of their own. On the largest table an index would be read in random order, and it would be one
more place that holds people's numbers. Instead, a page scans a bounded number of records in the order of the list. It
may then have few records or none, and names the position where the next page begins.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from engine.storage.cdrs import Between, CallRecord, CdrPosition, WantedRecords
from engine.storage.reads import Reads
from engine.storage.scanning import Slice, scan


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of call records. The next page begins after `more_after`; None on the last page."""

    records: list[CallRecord]
    more_after: CdrPosition | None


async def record_page(
    reads: Reads, wanted: WantedRecords, after: CdrPosition | None, limit: int, *, scan_limit: int | None = None
) -> RecordPage:
    """Returns up to `limit` records older than `after`.

    Args:
        reads: The database.
        wanted: Account, time range and filters.
        after: The position after which the page begins; None for the first page.
        limit: The most records to return.
        scan_limit: The most records to scan if there is a filter; None: scanning.SCAN_LIMIT.

    Raises:
        StorageUnavailable: The database failed.
    """
    newest = CdrPosition(wanted.until, "")
    before = newest if after is None else min(after, newest)
    oldest = CdrPosition(wanted.since, "")

    async def read(begin: CdrPosition, count: int, most: int) -> Slice[CallRecord, CdrPosition]:
        last = await _end_of_slice(reads, wanted, Between(begin, oldest), count) if wanted.is_filtered else None
        records = await reads.cdrs(wanted, Between(begin, last=last or oldest), limit=most)
        return Slice(records, last, count)

    page = await scan(before, limit + 1, read, scan_limit)
    if len(page.records) > limit:
        shown = page.records[:limit]
        return RecordPage(shown, position_of(shown[-1]))
    return RecordPage(page.records, page.goes_on_after)


async def record_batches(reads: Reads, wanted: WantedRecords, size: int) -> AsyncGenerator[list[CallRecord], None]:
    """Yields all records in batches of at most `size`; a batch may be empty. Holds no cursor open in between."""
    after: CdrPosition | None = None
    while True:
        page = await record_page(reads, wanted, after, size)
        yield page.records
        if page.more_after is None:
            return
        after = page.more_after


def position_of(record: CallRecord) -> CdrPosition:
    """Returns the record's position in the list."""
    return CdrPosition(record.cdr.started_at, record.cdr.id)


async def _end_of_slice(reads: Reads, wanted: WantedRecords, between: Between, count: int) -> CdrPosition | None:
    """Returns the position of the last record of a slice; None if the range ends with it."""
    positions = await reads.cdr_places(wanted.account_id, between, skipped=count - 1)
    return positions[0] if len(positions) > 1 else None
