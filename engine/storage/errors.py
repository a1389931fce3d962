"""Errors of the storage.

StorageError            (a RentedNumbersError)
├── StorageBusy         too many commands wait, or one took too long: refuse the request, a retry may succeed
├── StorageUnsure       the database did not answer a COMMIT: the command was kept, or it was not
├── StorageTooSlow      a query ran for too long and was interrupted: a smaller one may succeed
└── StorageUnavailable  the database failed (disk full, locked, closed): nothing of the command was kept
    ├── DatabaseReplaced    its files are no longer those that were opened
    └── DatabaseUnusable    it must not be opened: replaced by hand, half restored, of another version
"""

import sqlite3

from engine.domain.errors import RentedNumbersError

# SQLite's codes for a database that is malformed.
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StorageError(RentedNumbersError):
    """The storage could not do its work."""


class StorageBusy(StorageError):
    """Too many commands wait. A retry may succeed."""


class StorageUnsure(StorageError):
    """The database did not answer a COMMIT. The command may have been kept, so it must not simply run again."""


class StorageTooSlow(StorageError):
    """A query ran for too long and was interrupted."""


class StorageUnavailable(StorageError):
    """The database failed. Nothing of the command was kept."""


class DatabaseReplaced(StorageUnavailable):
    """The files were replaced or removed while the database was in use. What was committed meanwhile may be lost."""


class DatabaseUnusable(StorageUnavailable):
    """The database must not be opened. The message says why and what to do."""


def is_of_database(error: Exception) -> bool:
    """Returns whether the disk or the database failed, in distinction from the command."""
    # A malformed database raises DatabaseError itself. Its other subclasses are about what the command asked for.
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
