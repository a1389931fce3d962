"""The audit: every booking's credit against the rows that should explain it.

Of settled calls whose time to be kept is over (engine/retention.py), a booking has the sums in their place: they are
added to only in the transaction that forgets a call, so one that is missing in any other way still shows.
"""

from dataclasses import dataclass
from typing import Any

from engine.domain.ids import BookingId
from engine.storage.transaction import Transaction

PAGE = 500

# Credit as the booking's row has it → what the other rows say. Each must be equal.
EQUATIONS = (
    ("seconds_granted", "grants_seconds"),
    ("seconds_leased", "leases_seconds"),
    ("seconds_settled", "charged_seconds"),
    ("seconds_settled", "records_seconds"),
    ("calls_granted", "grants_calls"),
    ("calls_leased", "leases_calls"),
    ("calls_settled", "charged_calls"),
)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """`rule` in words, such as `seconds_settled = records_seconds`, with both amounts."""

    booking_id: BookingId
    rule: str
    booked: int
    explained: int


@dataclass(frozen=True, slots=True)
class Audited:
    """`last` is to be given as `after` for the next page; empty when there is none."""

    bookings: int
    discrepancies: list[Discrepancy]
    last: str


def audit_page(tx: Transaction, after: str) -> Audited:
    """Audit the PAGE bookings after that id. Writes nothing."""
    rows = tx.bookings.ledger_page(after, PAGE)
    found = [discrepancy for row in rows for discrepancy in _audit(row)]
    return Audited(len(rows), found, rows[-1]["id"] if len(rows) == PAGE else "")


def _audit(row: dict[str, Any]) -> list[Discrepancy]:
    found = [
        Discrepancy(row["id"], f"{booked} = {explained}", row[booked], row[explained])
        for booked, explained in EQUATIONS
        if row[booked] != row[explained]
    ]
    for unit in ("seconds", "calls"):
        parts = sum(row[f"{unit}_{part}"] for part in ("remaining", "leased", "settled"))
        if row[f"{unit}_granted"] != parts or row[f"{unit}_remaining"] < 0:
            rule = f"{unit}_granted = remaining + leased + settled"
            found.append(Discrepancy(row["id"], rule, row[f"{unit}_granted"], parts))
    if row["calls_without_record"]:
        found.append(Discrepancy(row["id"], "every ended call has its record", 0, row["calls_without_record"]))
    return found
