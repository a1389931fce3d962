"""What an error of PostgreSQL means for the command that met it.

The codes are listed in https://www.postgresql.org/docs/15/errcodes-appendix.html.
"""

from enum import Enum

import psycopg

from engine.storage.errors import StorageBusy, StorageError, StorageUnavailable

# Another transaction was in the way: the same command succeeds when it runs again.
_CONFLICTS = frozenset({"40001", "40P01"})
# Two commands have added the same row at once. When the later one runs again, it finds the row of the other.
_DUPLICATE = "23505"
# The server stops, has crashed or is not ready; it takes no writes any more, because another one was promoted; the
# connection's prepared statements are gone, or the schema is newer than they are.
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25006", "25P03", "26000", "0A000"})
_TOO_SLOW = frozenset({"57014", "55P03"})
_DAMAGE = frozenset({"XX001", "XX002"})
# The fault is the command's: its data, a constraint, its SQL. All other errors are the database's.
_OF_THE_COMMAND = ("22", "23", "42", "21", "44")


class ConnectionLost(Exception):
    """The connection broke, or the server did not answer in time. The session cannot be used any more.

    Attributes:
        is_unsure: Whether COMMIT was sent and its answer did not come. Else nothing was kept.
        is_late: Whether the deadline has passed.
    """

    def __init__(self, reason: str, *, is_unsure: bool, is_late: bool = False) -> None:
        super().__init__(reason)
        self.is_unsure = is_unsure
        self.is_late = is_late


class Fault(Enum):
    """What follows from an error."""

    CONFLICT = "run the command again"
    DUPLICATE = "run the command again, but only once"
    LOST = "run the command again on a new connection"
    OF_THE_COMMAND = "give the error to the caller"
    OF_THE_DATABASE = "nothing of the command was kept"


def fault_of(error: psycopg.Error) -> Fault:
    """Returns what follows from an error of the server."""
    code = error.sqlstate or ""
    if code in _CONFLICTS:
        return Fault.CONFLICT
    if code == _DUPLICATE:
        return Fault.DUPLICATE
    if code in _LOST or code.startswith("08"):
        return Fault.LOST
    return Fault.OF_THE_COMMAND if code.startswith(_OF_THE_COMMAND) else Fault.OF_THE_DATABASE


def as_storage_error(error: psycopg.Error) -> StorageError:
    """Returns the storage's error for one of the database."""
    words = str(error).strip()
    return StorageBusy(words) if error.sqlstate in _TOO_SLOW else StorageUnavailable(words)


def is_damage(error: psycopg.Error) -> bool:
    """Returns whether the server has found its data damaged."""
    return error.sqlstate in _DAMAGE
