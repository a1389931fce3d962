"""Bounds and filters of lists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from engine.domain.numbers import E164
from engine.domain.times import EpochMs

# Pairs of metadata in one filter. bookings.sql has a parameter for each, and for the label.
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
        notes: Digests of the label and of the pairs of metadata that a booking must have (engine.domain.notes).
    """

    expires_after: EpochMs
    expires_until: EpochMs = LATEST
    destination: E164 | None = None
    usage_plan: str | None = None
    service: E164 | None = None
    notes: Sequence[str] = ()

    def until(self, instant: EpochMs) -> Self:
        """Returns the same filter for bookings that expire up to `instant`."""
        return replace(self, expires_until=instant)

    def as_parameters(self) -> dict[str, str | int]:
        """Returns the parameters of bookings.sql, where an empty text lets everything through."""
        notes = [*self.notes, *[""] * MAX_PAIRS][: MAX_PAIRS + 1] if self.notes else []
        return {
            "expires_after": self.expires_after,
            "expires_until": self.expires_until,
            "destination": self.destination or "",
            "usage_plan": self.usage_plan or "",
            "service": self.service or "",
            **{f"note_{number}": note for number, note in enumerate(notes, 1)},
        }
