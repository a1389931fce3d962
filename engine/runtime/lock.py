"""Allows one system for each data directory, by file locks.

`rented-numbers run` holds `lock`. The engine holds `engine.lock`, both as a child of `run` and on its own. There are
two files because `run` lives longer than the engines that it starts. The kernel releases a lock when its holder dies,
however it dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from engine.domain.errors import RentedNumbersError

RUN_LOCK = "lock"
ENGINE_LOCK = "engine.lock"
TRIES, TRY_SECONDS = 3, 0.02


class DataDirInUse(RentedNumbersError):
    """Another process uses the data directory; the message has its process id."""


@contextmanager
def held(data_dir: Path, name: str) -> Iterator[None]:
    """Holds the lock `name` inside the `with` block.

    Raises:
        DataDirInUse: Another process holds it. There is no wait.
    """
    path = data_dir / name
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(data_dir: Path, name: str) -> bool:
    """Returns whether a process holds the lock `name`. It may change its mind at once."""
    try:
        descriptor = os.open(data_dir / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path) -> int:
    tries = count(1)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(path, descriptor):
                return descriptor
        except BlockingIOError:
            if next(tries) < TRIES:  # `is_held` may be looking
                os.close(descriptor)
                time.sleep(TRY_SECONDS)
                continue
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirInUse(
                f"a system is already running on {path.parent} (process {pid}): stop it first. To run a second "
                "system, give it other ports and another RENTED_NUMBERS_DATA_DIR"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(path: Path, descriptor: int) -> bool:
    # `rented-numbers clean` removes the file, and a lock on a removed file excludes no other process.
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
