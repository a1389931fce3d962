"""The check of the database, as those of doctor_checks.py."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

from engine.config.postgres_address import PostgresAddress
from engine.config.settings import Settings
from engine.local.data_dir import require_database
from engine.local.findings import Finding, Verdict
from engine.runtime import lock
from engine.storage.copies import different_objects
from engine.storage.database import require_usable
from engine.storage.migrate import newest_revision, require_whole, revision_of

WRITE_SECONDS = 3.0
# Time limit for reading through a large database; what is left is not checked.
SEARCH_SECONDS = 5.0
NEWER_SCHEMA = "a newer version of this program created it: use that version"
UPGRADE = "stop the system, then `rented-numbers database upgrade` upgrades it"
RESTORE_BACKUP = "stop the system and restore a backup with `rented-numbers restore`"
DAMAGED = f"if it is locked, end the program that holds the lock; if it is damaged, {RESTORE_BACKUP}"


def database(settings: Settings) -> Iterator[Finding]:
    """Checks that the database is the one that was here, can be written, is not damaged, and has our schema."""
    require_database(settings)
    address = settings.books
    if isinstance(address, PostgresAddress):
        require_usable(address, alone=True)
        yield Finding("database", Verdict.OK, f"{address.shown} can be reached, and has this version's schema")
        return
    require_whole(settings.database, alone=not lock.is_held(settings.data_dir, lock.ENGINE_LOCK))
    with closing(sqlite3.connect(settings.database, timeout=WRITE_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        deadline = time.monotonic() + SEARCH_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        try:
            # Unlike quick_check this compares every index with its table.
            [(fault,), *_] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            scanned = "all"
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            fault, scanned = "ok", "a part"
    if fault == "ok":
        yield Finding("database", Verdict.OK, f"can be written; {scanned} of it was checked and has no fault")
    else:
        yield Finding("database", Verdict.FAILED, fault, RESTORE_BACKUP)
    revision, newest = revision_of(settings.database), newest_revision()
    if revision != newest:
        fix = UPGRADE if revision is None or revision < newest else NEWER_SCHEMA
        yield Finding("database", Verdict.FAILED, f"its schema is {revision}; this program has {newest}", fix)
    elif different := different_objects(settings.database):
        what = f"its schema differs from the one of the migrations: {', '.join(different)}"
        yield Finding("database", Verdict.FAILED, what, RESTORE_BACKUP)
