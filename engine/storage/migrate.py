"""Brings a database to the present schema with Alembic. Safe to run at every start."""

import contextlib
import sqlite3
from pathlib import Path

from engine.storage.errors import StorageUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Path) -> None:
    """Create or upgrade the SQLite file, in one transaction: all of it is kept or nothing.

    Raises StorageUnavailable: it is not a database, not ours to write, or a newer version's.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    revision, newest = revision_of(database), newest_revision()
    if revision == newest:
        return
    if revision is not None and revision > newest:
        raise StorageUnavailable(
            f"{database} was made by a newer version of this program (schema {revision}, here {newest})"
        )
    # Alembic and SQLAlchemy cost 0.4 s to import: an engine that is started again after a crash does without.
    from engine.storage.upgrade import upgrade  # noqa: PLC0415

    upgrade(database, MIGRATIONS)


def newest_revision() -> str:
    """Revisions are numbered, and each file's name begins with its number."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision_of(database: Path) -> str | None:
    """None: there is no database, or none that Alembic has made."""
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
