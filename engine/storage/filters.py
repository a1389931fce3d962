"""Bounds and filters of lists. A page scans a limited number of records, whatever its filter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from engine.domain.numbers import E164
from engine.domain.times import EpochMs

T = TypeVar("T")
Place = TypeVar("Place")

# Bookings or callbacks that one page scans at most.
SCAN_LIMIT = 5_000

# Pairs of metadata in one filter; bookings.sql has a parameter for each.
MAX_PAIRS = 5

# The least and the greatest BIGINT: before and after every instant (epoch milliseconds).
EARLIEST = EpochMs(-(2**63))

LATEST = EpochMs(2**63 - 1)

# Greater than every id. Lists show the newest record first, and each page ends before an id: with this one, the page
# begins with the newest record.
LAST_ID = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class BookingFilter:
    """Which bookings to list. None and an empty sequence let everything through.

    Attributes:
        expires_after: Only bookings that expire after this instant.
        expires_until: Only bookings that expire up to this instant.
        pairs: Metadata that a booking must have, each pair written as engine.domain.notes writes it.
    """

    expires_after: EpochMs
    expires_until: EpochMs = LATEST
    destination: E164 | None = None
    usage_plan: str | None = None
    service: E164 | None = None
    label: str | None = None
    pairs: Sequence[str] = ()

    def until(self, instant: EpochMs) -> Self:
        """Returns the same filter for bookings that expire up to `instant`."""
        return replace(self, expires_until=instant)

    def as_parameters(self) -> dict[str, str | int]:
        """Returns the parameters of bookings.sql, where an empty text lets everything through."""
        pairs = [*self.pairs, *[""] * MAX_PAIRS][:MAX_PAIRS]
        return {
            "expires_after": self.expires_after,
            "expires_until": self.expires_until,
            "destination": self.destination or "",
            "usage_plan": self.usage_plan or "",
            "service": self.service or "",
            "label": self.label or "",
            **{f"pair_{number}": pair for number, pair in enumerate(pairs, 1)},
        }


@dataclass(frozen=True, slots=True)
class ScannedPage(Generic[T, Place]):
    """A page of a list that scans a limited number of records.

    Attributes:
        records: The records that pass the filter, perhaps none.
        goes_on_after: The last scanned record's place in the list, when the page has fewer records than it may and
            there may be more after that one; else None.
    """

    records: Sequence[T]
    goes_on_after: Place | None = None
