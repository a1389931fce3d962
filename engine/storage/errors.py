"""What can go wrong below the use cases.

StorageError            (a RentedNumbersError)
├── StorageBusy         too much is waiting, or it took too long: refuse the request, try again later
└── StorageUnavailable  the database failed (disk full, locked, closed): nothing of the command was kept
"""

from engine.domain.errors import RentedNumbersError


class StorageError(RentedNumbersError):
    pass


class StorageBusy(StorageError):
    pass


class StorageUnavailable(StorageError):
    pass
