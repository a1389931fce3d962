"""Which records a list is to have. A page looks at a bounded number of them, whatever is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from engine.domain.numbers import E164
from engine.domain.times import EpochMs

T = TypeVar("T")

# Bookings that one page looks at.
LOOKED_AT = 5_000

# Pairs of metadata that can be asked for at once; bookings.sql has a place for each.
MAX_PAIRS = 5

# What BIGINT holds: before and after every instant (epoch milliseconds).
EARLIEST = EpochMs(-(2**63))

LATEST = EpochMs(2**63 - 1)

# Greater than every id: a page "before" it is the first page.
LAST_ID = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class BookingFilter:
    """Instants are epoch milliseconds. What is empty is not asked for. `pairs`: see `engine.domain.notes`."""

    expires_after: EpochMs
    expires_until: EpochMs = LATEST
    destination: E164 | None = None
    usage_plan: str | None = None
    service: E164 | None = None
    label: str | None = None
    pairs: Sequence[str] = ()

    def until(self, instant: EpochMs) -> Self:
        """Those of them that expire by then."""
        return replace(self, expires_until=instant)

    def as_parameters(self) -> dict[str, str | int]:
        """By their names in bookings.sql."""
        pairs = [*self.pairs, *[""] * MAX_PAIRS][:MAX_PAIRS]
        return {
            "expires_after": self.expires_after,
            "expires_until": self.expires_until,
            "destination": self.destination or "",
            "usage_plan": self.usage_plan or "",
            "service": self.service or "",
            "label": self.label or "",
            **{f"pair_{place}": pair for place, pair in enumerate(pairs, 1)},
        }


@dataclass(frozen=True, slots=True)
class ScannedPage(Generic[T]):
    """`goes_on_after`: the last record that was looked at, where there may be others that were not; their page may hold
    some, however few this one holds."""

    records: Sequence[T]
    goes_on_after: str | None = None
