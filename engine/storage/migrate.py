"""Creates and upgrades a database with Alembic, and refuses one that must not be opened.

Only `setup`, `run` and `database upgrade` upgrade a database. Every other command demands the schema that it was
written for: a new version that upgraded the database beside a running old one would take the tables away under its
calls.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from engine.storage.errors import DatabaseUnusable, StorageUnavailable
from engine.storage.files import read_only
from engine.storage.marks import refuse_replaced

MIGRATIONS = Path(__file__).parent / "migrations"
# Beside the database while a restore puts another file in its place.
PENDING_RESTORE = "restore.pending"


def migrate(database: Path) -> None:
    """Creates or upgrades the SQLite file in one transaction.

    Raises:
        StorageUnavailable: The file is no database, cannot be written, or belongs to a newer version.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    revision, newest = revision_of(database), newest_revision()
    if revision == newest:
        return
    if revision is not None and revision > newest:
        raise newer_schema(str(database), revision, newest)
    if not database.exists():
        # Whatever the umask is. SQLite gives the files beside it the same mode.
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # Importing Alembic and SQLAlchemy takes 0.4 s, which a restart after a crash must not wait for.
    from engine.storage.upgrade import upgrade  # noqa: PLC0415

    upgrade(database, MIGRATIONS)


def require_usable(database: Path, *, alone: bool) -> None:
    """Refuses a database that this version must not open.

    Args:
        database: The file, which exists.
        alone: Whether no engine runs on it.

    Raises:
        DatabaseUnusable: It was replaced by hand or half restored, or has another version's schema.
        StorageUnavailable: It cannot be read.
    """
    require_whole(database, alone=alone)
    revision, newest = revision_of(database), newest_revision()
    if revision is not None and revision > newest:
        raise newer_schema(str(database), revision, newest)
    if revision != newest:
        raise older_schema(str(database), revision, newest)


def require_whole(database: Path, *, alone: bool) -> None:
    """Refuses a database that was replaced by hand or half restored, whatever its schema. Arguments are as above.

    Raises:
        DatabaseUnusable: It must not be opened.
        StorageUnavailable: It cannot be read.
    """
    if database.with_name(PENDING_RESTORE).exists():
        raise DatabaseUnusable(
            f"{database} is half restored, because `rented-numbers restore` was interrupted: run it again"
        )
    if not database.exists():
        return
    try:
        refuse_replaced(database, alone=alone)
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database}: {error}") from error


def newest_revision() -> str:
    """Returns the revision of the current schema. Revisions are numbers, and file names begin with them."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision_of(database: Path) -> str | None:
    """Returns the revision of a database; None when there is none, or when Alembic has not made it.

    Raises:
        StorageUnavailable: The file cannot be read.
    """
    if not database.exists():
        return None
    try:
        with contextlib.closing(read_only(database)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database}: {error}") from error
    return str(row[0]) if row else None


def older_schema(database: str, revision: str | None, newest: str) -> DatabaseUnusable:
    """Returns the error for a schema that is older than this version's."""
    return DatabaseUnusable(
        f"{database} was made by an older version of this program (schema {revision}, here {newest}): stop the "
        "system, then `rented-numbers database upgrade`, `setup` or `run` upgrades it"
    )


def newer_schema(database: str, revision: str, newest: str) -> DatabaseUnusable:
    """Returns the error for a schema that is newer than this version's."""
    return DatabaseUnusable(
        f"{database} was made by a newer version of this program (schema {revision}, here {newest})"
    )
