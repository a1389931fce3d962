"""Forgets what a system has made in its data directory, and nothing else that lies there."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import fields
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome
from engine.calls.end_spool import SUFFIX
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.control.protocol import SOCKET
from engine.local import demo
from engine.local.data_dir import make_data_dir
from engine.runtime import lock


def clean(settings: Settings) -> list[Path]:
    """Returns what is left because it is not ours. Raises DataDirInUse while a system is running."""
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
        for path in _files(settings):
            path.unlink(missing_ok=True)
        for path in (directory / "secrets", demo.key_file(directory).parent, directory / "journal"):
            with suppress(OSError):  # not there, or something else lies in it
                path.rmdir()
        for name in (lock.RUN_LOCK, lock.ENGINE_LOCK):
            (directory / name).unlink()
    left = sorted(directory.iterdir())
    if not left:
        with suppress(OSError):  # a mount point, or its parent is not ours
            directory.rmdir()
    return left


def _files(settings: Settings) -> Iterator[Path]:
    """Every file that a system may have made, by its name."""
    directory = settings.data_dir
    yield directory / SOCKET
    for suffix in ("", ".1"):
        yield directory / f"{settings.security_log.name}{suffix}"
    for suffix in ("", "-wal", "-shm", "-journal"):
        yield directory / f"{settings.database.name}{suffix}"
    for secret in fields(Secrets):
        yield directory / "secrets" / secret.name
        yield directory / "secrets" / f".{secret.name}.partial"
    yield from (directory / "secrets").glob("agi_token.*")
    for file in (demo.key_file(directory), demo.webhook_secret_file(directory), demo.call_lock(directory)):
        yield file
        yield file.with_suffix(".partial")
    for pattern in (f"*{SUFFIX}", "*.bad", ".*.partial"):
        yield from (directory / "journal").glob(pattern)
