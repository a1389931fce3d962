"""Errors of the storage.

StorageError            (a RentedNumbersError)
├── StorageBusy         too many commands wait, or a query took too long: refuse the request, a retry may succeed
└── StorageUnavailable  the database failed (disk full, locked, closed): nothing of the command was kept
"""

from engine.domain.errors import RentedNumbersError


class StorageError(RentedNumbersError):
    """The storage could not do its work."""


class StorageBusy(StorageError):
    """Too many commands wait. A retry may succeed."""


class StorageUnavailable(StorageError):
    """The database failed. Nothing of the command was kept."""
