"""Lists call records, filtered, newest call first, a bounded amount of work at a time.

Filters have no index of their own. On the largest table an index would be read in random order, and it would be one
more place that holds people's numbers. Instead, a page scans a bounded number of records in the order of the list. It
may then have few records or none, and names the position where the next page begins.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from engine.storage.cdrs import Between, CallRecord, CdrPosition, WantedRecords
from engine.storage.reads import Reads

# Records that one page scans: a few milliseconds of the thread that all reads share.
SCAN_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of call records. The next page begins after `more_after`; None on the last page."""

    records: list[CallRecord]
    more_after: CdrPosition | None


async def record_page(
    reads: Reads, wanted: WantedRecords, after: CdrPosition | None, limit: int, *, scan_limit: int = SCAN_LIMIT
) -> RecordPage:
    """Returns up to `limit` records older than `after`.

    Args:
        reads: The database.
        wanted: Account, time range and filters.
        after: The position after which the page begins; None for the first page.
        limit: The most records to return.
        scan_limit: The most records to scan if there is a filter.

    Raises:
        StorageUnavailable: The database failed.
    """
    newest = CdrPosition(wanted.until, "")
    before = newest if after is None else min(after, newest)
    between = Between(before, last=CdrPosition(wanted.since, ""))
    scanned_up_to = await _end_of_scan(reads, wanted, between, scan_limit) if wanted.is_filtered else None
    if scanned_up_to is not None:
        between = Between(before, last=scanned_up_to)
    records = await reads.cdrs(wanted, between, limit=limit + 1)
    if len(records) > limit:
        shown = records[:limit]
        return RecordPage(shown, position_of(shown[-1]))
    return RecordPage(records, scanned_up_to)


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


async def _end_of_scan(reads: Reads, wanted: WantedRecords, between: Between, scan_limit: int) -> CdrPosition | None:
    """Returns the position of the last record to scan; None if the range ends before it."""
    positions = await reads.cdr_places(wanted.account_id, between, skipped=scan_limit - 1)
    return positions[0] if len(positions) > 1 else None
