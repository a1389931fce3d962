"""Removes what a system has created in its data directory, and nothing else there."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome
from engine.backup.install import KEPT
from engine.backup.work_directory import PREFIX
from engine.calls.end_spool import CURRENT, FORMER
from engine.config.secrets import made_names
from engine.config.settings import Settings
from engine.control.protocol import SOCKET
from engine.local import demo
from engine.local.data_dir import make_data_dir
from engine.runtime import lock
from engine.storage.marks import MARK_FILE
from engine.storage.migrate import PENDING_RESTORE
from engine.storage.revocations import REVOCATION_LOG


def clean(settings: Settings) -> list[Path]:
    """Removes the database, the secrets and every other file of a system.

    Returns:
        What is left in the data directory because no system created it.

    Raises:
        DataDirInUse: A system is running on this data directory.
    """
    directory = settings.data_dir
    if not settings.database.exists() and not (directory / "secrets").exists():
        return []
    make_data_dir(settings)
    with ExitStack() as locks:
        locks.enter_context(lock.held(directory, lock.RUN_LOCK))
        locks.enter_context(lock.held(directory, lock.ENGINE_LOCK))
        home = AsteriskHome(directory / "asterisk")
        if home.config.is_file() and not home.base.is_symlink():
            shutil.rmtree(home.base)
        for unfinished in (*directory.glob(f"{PREFIX}*"), directory / KEPT):
            if not unfinished.is_symlink():
                shutil.rmtree(unfinished, ignore_errors=True)
        for path in _files(settings):
            path.unlink(missing_ok=True)
        for path in (directory / "secrets", demo.key_file(directory).parent, directory / "journal"):
            with suppress(OSError):  # it does not exist, or has other files in it
                path.rmdir()
        for name in (lock.RUN_LOCK, lock.ENGINE_LOCK):
            (directory / name).unlink()
    left = sorted(directory.iterdir())
    if not left:
        with suppress(OSError):  # a mount point, or no right to change the parent
            directory.rmdir()
    return left


def _files(settings: Settings) -> Iterator[Path]:
    """Yields every file that a system may have created. Files are listed by name, so that no other one is removed."""
    directory = settings.data_dir
    yield directory / SOCKET
    for name in (MARK_FILE, REVOCATION_LOG, PENDING_RESTORE):
        yield directory / name
    for suffix in ("", ".1"):
        yield directory / f"{settings.security_log.name}{suffix}"
    for suffix in ("", "-wal", "-shm", "-journal"):
        yield directory / f"{settings.database.name}{suffix}"
    for name in made_names():
        yield directory / "secrets" / name
        yield directory / "secrets" / f".{name}.partial"
    for pattern in ("agi_token.*", "trunk_password.*", ".trunk_password.*.partial"):
        yield from (directory / "secrets").glob(pattern)
    for file in demo.files(directory):
        yield file
        yield file.with_suffix(".partial")
    for name in (CURRENT, FORMER):
        yield directory / "journal" / name
