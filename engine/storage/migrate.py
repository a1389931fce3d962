"""Upgrades a database to the current schema with Alembic. Every start runs this."""

import contextlib
import sqlite3
from pathlib import Path

from engine.storage.errors import StorageUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


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
        raise StorageUnavailable(
            f"{database} was made by a newer version of this program (schema {revision}, here {newest})"
        )
    # Importing Alembic and SQLAlchemy takes 0.4 s, which a restart after a crash must not wait for.
    from engine.storage.upgrade import upgrade  # noqa: PLC0415

    upgrade(database, MIGRATIONS)


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
        with contextlib.closing(sqlite3.connect(database)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database}: {error}") from error
    return str(row[0]) if row else None
