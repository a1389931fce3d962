"""The marks of the database, its restores, and rows as `restore` and `doctor` look at them: all of a kind at once."""

import re
from collections.abc import Iterator

from engine.domain.ids import CallId
from engine.domain.number_candidates import candidates, country_codes_of
from engine.domain.numbers import E164, is_e164
from engine.domain.times import EpochMs
from engine.storage.marks import Mark
from engine.storage.table import Table

# The time in a UUIDv7 behind its prefix, in hexadecimal milliseconds.
_TIME_OF_ID = re.compile(r"[a-z]+_([0-9a-f]{12})[0-9a-f]{20}")


class Restores(Table):
    """What a restore needs of the database as a whole."""

    def newest_row_at(self) -> EpochMs | None:
        """Returns when the newest row was made, by its id; None in an empty database."""
        found = [_TIME_OF_ID.fullmatch(row["id"] or "") for row in self._sql.newest_ids(self._db)]
        times = [int(match[1], 16) for match in found if match]
        return EpochMs(max(times)) if times else None

    def calls_up(self) -> set[CallId]:
        """Returns the calls that have no end."""
        return {row["call_id"] for row in self._sql.calls_up_after_restore(self._db)}

    def quarantine_numbers(self, until: EpochMs) -> int:
        """Quarantines every number that no booking holds, and books those that one holds. Returns how many it took."""
        self._sql.book_all_held(self._db)
        return int(self._sql.quarantine_all_but_held(self._db, until=until))

    def insert(self, restored_at: EpochMs, backup_at: EpochMs, hold_until: EpochMs) -> None:
        """Notes a restore."""
        self._sql.insert_restore(self._db, restored_at=restored_at, backup_at=backup_at, hold_until=hold_until)

    def rename_database(self, database_id: str) -> None:
        """Gives the database another id, so that it is not taken for the one that it replaces."""
        self._sql.rename_database(self._db, database_id=database_id)

    def beat(self) -> None:
        """Writes a mark, which shows that the database can be written."""
        self._sql.beat_storage_mark(self._db)

    def mark(self) -> Mark:
        """Returns the database's mark."""
        return Mark(*self._sql.storage_marks(self._db))

    def numbers_held_until(self) -> EpochMs | None:
        """Returns until when numbers that come into the pool stay in quarantine, after a restore."""
        until: EpochMs | None = self._sql.numbers_held_until(self._db)
        return until

    def booked_without_booking(self, limit: int) -> list[E164]:
        """Returns numbers that are booked although no booking holds them."""
        return [row["e164"] for row in self._sql.booked_without_booking(self._db, at_most=limit)]

    def held_but_not_booked(self, limit: int) -> list[str]:
        """Returns the ids of bookings whose number is not booked in the pool."""
        return [row["id"] for row in self._sql.held_but_not_booked(self._db, at_most=limit)]

    def numbers_anywhere(self) -> Iterator[E164]:
        """Yields everything that may be a telephone number, in columns and in texts. The same may come again."""
        # National forms are read as numbers of the countries of the pool and of the bookings.
        codes = country_codes_of(row["prefix"] for row in self._sql.prefixes_of_numbers(self._db))
        for row in self._sql.numbers_stored(self._db):
            if is_e164(row["number"]):
                yield E164(row["number"])
            yield from candidates(row["number"], codes)
        for row in self._sql.texts_with_numbers(self._db):
            yield from set(candidates(row["content"] or "", codes))
