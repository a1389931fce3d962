"""Makes a backup beside a running engine, and verifies what it has written."""

import hashlib
import hmac
import importlib.metadata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.backup import archive
from engine.backup.archive import DATABASE, SECRETS, Manifest
from engine.backup.verify import verify, verify_ledger
from engine.backup.work_directory import work_directory
from engine.runtime.clock import SystemClock
from engine.storage.copies import copy_online, newest_row_at
from engine.storage.migrate import newest_revision, revision_of


@dataclass(frozen=True, slots=True)
class BackupMade:
    """What a backup holds.

    Attributes:
        bookings: How many bookings were audited; None for a database of an older schema.
    """

    manifest: Manifest
    size: int
    bookings: int | None


def make_backup(
    data_dir: Path, database: Path, target: Path, *, passphrase: str | None = None, with_secrets: bool = False
) -> BackupMade:
    """Makes a backup of the database, whole and verified.

    Args:
        data_dir: The data directory, where the copy lies until the backup is written.
        database: The database. An engine may run.
        target: The new file.
        passphrase: Encrypts the backup.
        with_secrets: Whether the secrets go into it; only with a passphrase.

    Raises:
        BackupExists: There is such a file.
        BadBackup: The database is damaged, or its ledger does not add up.
        StorageUnavailable: The database cannot be read.
        OSError: A file cannot be written.
    """
    if target.exists():
        raise archive.BackupExists(f"{target} exists already, and a backup never replaces a file")
    with work_directory(data_dir) as work:
        copy, created_at = work / DATABASE, SystemClock().now()
        copy_online(database, copy)
        verify(copy)
        schema = revision_of(copy) or ""
        bookings = verify_ledger(copy) if schema == newest_revision() else None
        files = {DATABASE: copy} | (_secrets(data_dir) if with_secrets and passphrase else {})
        manifest = Manifest(
            version=importlib.metadata.version("rented-numbers"),
            schema=schema,
            created_at=created_at,
            newest_row_at=newest_row_at(copy),
            pepper=pepper_mark(data_dir),
            files={name: archive.sum_of(path) for name, path in files.items()},
        )
        archive.write(target, manifest, files, passphrase)
        _read_back(target, passphrase, work)
    return BackupMade(manifest, target.stat().st_size, bookings)


def _read_back(target: Path, passphrase: str | None, work: Path) -> None:
    """Reads what was written, and compares every file with its sum. Raises BadBackup."""
    back = work / "back"
    back.mkdir()
    try:
        archive.unpack(target, passphrase, back)
    except BaseException:
        target.unlink()
        raise


def _secrets(data_dir: Path) -> dict[str, Path]:
    files = sorted(path for path in (data_dir / "secrets").iterdir() if path.is_file() and path.name[:1] != ".")
    return {f"{SECRETS}{path.name}": path for path in files}


def pepper_mark(data_dir: Path) -> str:
    """Returns a digest by which the key pepper is recognised, and which says nothing about it; empty without one."""
    with suppress(FileNotFoundError):
        pepper = (data_dir / "secrets" / "key_pepper").read_text(encoding="ascii").strip()
        return hmac.new(pepper.encode(), b"which pepper is this", hashlib.sha256).hexdigest()[:16]
    return ""
