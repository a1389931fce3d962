"""Pages of lists with filters: the work for one page is bounded in rows, in bytes and in time.

A page is read slice by slice, each slice by statements of its own that take a millisecond or two. Between slices other
requests get their turn on the connection. A page that ends early, because enough was scanned or because its records are
large, names the place where the next page begins.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Place = TypeVar("Place")

# Records that one page scans at most.
SCAN_LIMIT = 5_000
# Records that one statement scans.
SLICE = 500


@dataclass(frozen=True, slots=True)
class ScannedPage(Generic[T, Place]):
    """A page of a list that scans a limited number of records.

    Attributes:
        records: The records that pass the filter, perhaps none.
        goes_on_after: The last scanned record's place in the list, when the page has fewer records than it may and
            there may be more after that one; else None.
    """

    records: list[T]
    goes_on_after: Place | None = None


@dataclass(frozen=True, slots=True)
class Slice(Generic[T, Place]):
    """What was found in a part of a list.

    Attributes:
        records: The records that pass the filter.
        last: The place of the last scanned record; None at the end of the list.
        scanned: How many records were scanned, at least.
        is_enough: Whether the page ends here, because its records are large.
    """

    records: list[T]
    last: Place | None
    scanned: int
    is_enough: bool = False


# Reads a slice, given the place after which it begins, the most records to scan and the most to return.
ReadSlice = Callable[[Place, int, int], Awaitable[Slice[T, Place]]]


async def scan(
    begin: Place, limit: int, read: ReadSlice[Place, T], scan_limit: int | None = None
) -> ScannedPage[T, Place]:
    """Returns a page of up to `limit` records after the place `begin`.

    Args:
        begin: Where the page begins.
        limit: The most records to return.
        read: Reads a slice.
        scan_limit: The most records to scan; None: SCAN_LIMIT.
    """
    found: list[T] = []
    left = SCAN_LIMIT if scan_limit is None else scan_limit
    while True:
        count = min(SLICE, left)
        part = await read(begin, count, limit - len(found))
        found += part.records
        left -= part.scanned
        if part.last is None or len(found) == limit:
            return ScannedPage(found)
        if part.is_enough or left <= 0:
            return ScannedPage(found, part.last)
        begin = part.last
