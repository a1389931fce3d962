"""Puts a prepared database in the place of the present one, so that a kill at any moment harms nothing.

A file says that a restore is under way; while it is there, nothing opens the database. The old files are kept by a
second name before anything is removed, and a log that belongs to them is removed before the new database takes its
place: SQLite would write the log's pages over it.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from engine.backup.archive import sync_directory
from engine.runtime import failpoints
from engine.runtime.atomic_file import write_atomically
from engine.storage.files import database_files
from engine.storage.marks import MARK_FILE, write_mark
from engine.storage.migrate import PENDING_RESTORE

KEPT = "replaced"


def install(copy: Path, database: Path, database_id: str, sequence: int) -> Path | None:
    """Puts `copy` in the place of the database. The caller holds the engine's lock.

    Args:
        copy: The prepared database, one file, on the same file system.
        database: The place.
        database_id: The id of the prepared database, for its mark.
        sequence: Its sequence number.

    Returns:
        The directory with the old files; None if there were none.

    Raises:
        OSError: A file cannot be written. The next restore begins anew.
    """
    pending = database.with_name(PENDING_RESTORE)
    write_atomically(pending, "a restore is under way\n", sync_directory=True)
    failpoints.hit("restore pending")
    kept = _keep(database)
    failpoints.hit("restore kept the old files")
    for path in database_files(database)[1:]:
        path.unlink(missing_ok=True)
    sync_directory(database.parent)
    failpoints.hit("restore removed the log")
    copy.chmod(0o600)
    copy.replace(database)
    failpoints.hit("restore put the database in place")
    database.with_name(MARK_FILE).unlink(missing_ok=True)
    write_mark(database.with_name(MARK_FILE), database_id, sequence)
    sync_directory(database.parent)
    pending.unlink()
    sync_directory(database.parent)
    return kept


def _keep(database: Path) -> Path | None:
    """Gives the old files a second name, which takes no space. Returns the directory."""
    old = [path for path in database_files(database) if path.exists()]
    if not old:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = database.parent / KEPT / stamp
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    kept.mkdir(mode=0o700)
    for path in old:
        try:
            os.link(path, kept / path.name)
        except OSError:
            shutil.copy2(path, kept / path.name)  # a file system without hard links
        (kept / path.name).chmod(0o600)
    sync_directory(kept)
    sync_directory(kept.parent)
    return kept
