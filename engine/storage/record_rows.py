"""Call records as lists and exports read them: where they stand in their order, and which of them are wanted."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.domain.routing import Disposition
from engine.storage.bounds import EARLIEST, LATEST
from engine.storage.rows import Cdr, Row, cdr_from_row


class Place(NamedTuple):
    """Where a record stands: by when its call came in (epoch milliseconds), then by its id. Later ones are greater."""

    started_at: int
    id: str


@dataclass(frozen=True, slots=True)
class Between:
    """A range of places: older than `before`, not older than `last`."""

    before: Place
    last: Place

    def parameters(self) -> dict[str, Any]:
        return {
            "before_at": self.before.started_at,
            "before_id": self.before.id,
            "last_at": self.last.started_at,
            "last_id": self.last.id,
        }


@dataclass(frozen=True, slots=True)
class WantedRecords:
    """Of one account, from calls that came in from `since` on and before `until`; None lets everything through."""

    account_id: str
    since: int = EARLIEST
    until: int = LATEST
    booking_id: str | None = None
    service: str | None = None
    source: str | None = None
    disposition: Disposition | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether records of the range may be passed over."""
        return any((self.booking_id, self.service, self.source, self.disposition))

    def parameters(self) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "booking_id": self.booking_id,
            "service": self.service,
            "source": self.source,
            "disposition": self.disposition,
        }


@dataclass(frozen=True, slots=True)
class CallRecord:
    """With when its call was answered and ended (epoch milliseconds), of calls that were let through."""

    cdr: Cdr
    answered_at: int | None
    ended_at: int | None


def call_record_from_row(row: Row) -> CallRecord:
    return CallRecord(cdr_from_row(row), row["answered_at"], row["ended_at"])
