"""Moves an installation from its SQLite file to PostgreSQL."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from engine.cdr.ledger import audit_page
from engine.config.postgres_address import PostgresAddress
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.ids import BookingId
from engine.runtime import lock
from engine.storage.database import Database, open_storage
from engine.storage.errors import DatabaseUnusable
from engine.storage.migrate import require_usable
from engine.storage.postgresql.copying import Copied, copy_database, count_rows


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied, and how many bookings were audited afterwards."""

    copied: Copied
    bookings: int


def rows_to_move(settings: Settings) -> int:
    """Returns how many rows there are to copy.

    Raises:
        InvalidInput: There is no PostgreSQL database to copy to.
        DatabaseUnusable: The SQLite file must not be opened.
        StorageUnavailable: There is none, or it cannot be read.
    """
    _target(settings)
    require_usable(settings.database, alone=True)
    return count_rows(settings.database)


def move_database(settings: Settings, copied: Callable[[int], object]) -> Moved:
    """Copies the SQLite file into the database of the setting `database_url`, and audits the copy. The file stays.

    Args:
        settings: The settings.
        copied: Called again and again with a number of rows that were copied since the last time.

    Raises:
        DataDirInUse: An engine runs.
        DatabaseUnusable: The target is not empty, or what arrived differs or does not add up.
        StorageUnavailable: A database cannot be used now.
    """
    target = _target(settings)
    with lock.held(settings.data_dir, lock.ENGINE_LOCK):
        require_usable(settings.database, alone=True)
        done = copy_database(settings.database, target, copied)
        return Moved(done, asyncio.run(_audited(target)))


def _target(settings: Settings) -> PostgresAddress:
    if settings.database_url is None:
        raise InvalidInput(["set RENTED_NUMBERS_DATABASE_URL to the address of an empty PostgreSQL database"])
    return PostgresAddress(settings.database_url)


async def _audited(database: Database) -> int:
    """Audits all bookings. Returns how many there are."""
    storage, bookings = open_storage(database), 0
    after: BookingId | None = None
    try:
        while True:
            page = await storage.run(audit_page, after)
            if page.discrepancies:
                wrong = page.discrepancies[0]
                raise DatabaseUnusable(f"the credit of booking {wrong.booking_id} does not add up: {wrong.rule}")
            bookings, after = bookings + page.bookings, page.last
            if after is None:
                return bookings
    finally:
        await storage.close()
