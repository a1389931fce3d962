"""Verifies a copy of a database: its pages, its indexes, and the credit of every booking."""

from contextlib import closing
from pathlib import Path

from engine.backup.archive import BadBackup
from engine.cdr.ledger import audit_page
from engine.domain.ids import BookingId
from engine.storage.copies import faults_of, opened, transaction_on


def verify(database: Path) -> None:
    """Checks every page and index. Raises BadBackup, which names the first fault."""
    if faults := faults_of(database):
        raise BadBackup(f"the database is damaged: {faults[0]}")


def verify_ledger(database: Path) -> int:
    """Audits all bookings of a copy with the present schema. Returns how many there are. Raises BadBackup."""
    bookings, after = 0, None
    with closing(opened(database)) as connection:
        tx = transaction_on(connection)
        while True:
            page = audit_page(tx, BookingId(after) if after else None)
            if page.discrepancies:
                wrong = page.discrepancies[0]
                raise BadBackup(f"the credit of booking {wrong.booking_id} does not add up: {wrong.rule}")
            bookings, after = bookings + page.bookings, page.last
            if after is None:
                return bookings
