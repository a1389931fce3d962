"""One system a data directory. `run` holds `lock`; the engine, as its child or alone, holds `engine.lock`.

Two files, because `run` starts an engine beside itself and starts another when that one dies. The kernel gives a lock
back when its holder dies, however it dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.domain.errors import RentedNumbersError

RUN_LOCK = "lock"
ENGINE_LOCK = "engine.runtime.lock"


class DataDirInUse(RentedNumbersError):
    """Says by which process."""


@contextmanager
def held(data_dir: Path, name: str) -> Iterator[None]:
    """Hold the lock. Raises DataDirInUse at once when another process does."""
    path = data_dir / name
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirInUse(
                f"a system is running on {path.parent} already (process {pid}): end that first. For a second "
                "one beside it set other ports, and RENTED_NUMBERS_DATA_DIR as well"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """`clean` removes the file: a lock on what it removed would keep nobody out."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
