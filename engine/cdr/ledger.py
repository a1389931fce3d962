"""Audits every booking's credit against the grants, calls and call records that explain it.

Settled calls are deleted after their retention period (engine/privacy/retention.py). Their sums stay with the booking.
Only the transaction that deletes a call adds to these sums, so a call that is missing for another reason still shows.
"""

from dataclasses import dataclass
from typing import Any

from engine.domain.ids import BookingId
from engine.storage.transaction import Transaction

PAGE = 500

# Column of the booking → sum over the rows that explain it. Each pair must be equal.
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
    """A rule that a booking breaks.

    Attributes:
        booking_id: The booking.
        rule: In words, such as `seconds_settled = records_seconds`.
        booked: The amount on the left side.
        explained: The amount on the right side.
    """

    booking_id: BookingId
    rule: str
    booked: int
    explained: int


@dataclass(frozen=True, slots=True)
class AuditPage:
    """The result for one page of bookings.

    Attributes:
        bookings: How many bookings the page has.
        discrepancies: What does not add up.
        last: The booking after which the next page begins; None on the last page.
    """

    bookings: int
    discrepancies: list[Discrepancy]
    last: BookingId | None


def audit_page(tx: Transaction, after: BookingId | None = None) -> AuditPage:
    """Audits the PAGE bookings after `after`, or the first ones. Writes nothing."""
    rows = tx.bookings.ledger_page(after or "", PAGE)
    found = [discrepancy for row in rows for discrepancy in _audit(row)]
    return AuditPage(len(rows), found, rows[-1]["id"] if len(rows) == PAGE else None)


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
