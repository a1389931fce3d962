"""Copies committed pages from SQLite's write-ahead log into the database file, in a thread of its own.

SQLite itself does this checkpoint within a commit, whenever the log has a thousand pages, and every call of that commit
waits for it. The more bookings there are, the farther apart those pages lie and the longer it takes. Here the log is
copied while commits go on.

SQLite starts the log from the beginning again only when all of it has been copied. Under load new pages arrive all the
time, so this never happens by chance. When the log has grown long, this thread therefore asks the thread that commits
to copy the last few pages itself, between two commits: see `Checkpoints.take_request`.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import structlog

from engine.storage.files import writing

log = structlog.get_logger(__name__)

# See https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"
TRUNCATE = "PRAGMA wal_checkpoint(TRUNCATE)"


class LogState(NamedTuple):
    """Pages in the write-ahead log, and how many of them have been copied into the database file."""

    pages: int
    copied: int


# Runs one of the two statements above.
Checkpoint: TypeAlias = Callable[[str], LogState]


@dataclass(frozen=True, slots=True)
class Pace:
    """When to checkpoint.

    Attributes:
        every: Seconds between two checks of the log.
        lull: Seconds without a commit after which the log is truncated to nothing.
        long: Pages of a log that must be started again.
        little: Pages that may be left to the thread that commits.
        tries: Checkpoints in a row that try to leave no more than that.
    """

    every: float = 1.0
    lull: float = 10.0
    long: int = 8_192
    little: int = 256
    tries: int = 4


class Checkpoints:
    """Checkpoints one database, for one thread that commits to it.

    Args:
        path: The database.
        pace: When to checkpoint.
    """

    def __init__(self, path: Path, pace: Pace) -> None:
        self._path = path
        self._pace = pace
        self._committed = False
        self._requested = False
        self._idle = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Notes a commit. The thread that commits calls this after each."""
        self._committed = True

    def take_request(self) -> bool:
        """Returns whether the thread that commits should checkpoint now, and withdraws the request.

        That thread calls this before each batch. Few pages are left then, so it takes little time, and the next commit
        starts the log again.
        """
        requested, self._requested = self._requested, False
        return requested

    def close(self) -> None:
        """Ends the thread. SQLite copies the rest of the log when the last connection closes."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        # The first check waits, so that a short command does not open a second connection.
        while not self._closing.wait(self._pace.every):
            try:
                with closing(writing(self._path, timeout=0)) as connection:
                    self._keep_checking(partial(_checkpoint, connection))
            except sqlite3.Error as error:
                log.warning("checkpoint_failed", error=str(error))
                self._committed = True  # so that the next round tries again, on a new connection

    def _keep_checking(self, checkpoint: Checkpoint) -> None:
        self._check(checkpoint)
        while not self._closing.wait(self._pace.every):
            self._check(checkpoint)

    def _check(self, checkpoint: Checkpoint) -> None:
        if self._committed:
            self._committed, self._idle = False, 0.0
            self._copy(checkpoint)
            return
        was_idle, self._idle = self._idle, self._idle + self._pace.every
        if was_idle < self._pace.lull <= self._idle:
            log_pages, _ = checkpoint(TRUNCATE)
            if log_pages:
                self._idle = 0.0  # a reader still needs the log: try again after another lull

    def _copy(self, checkpoint: Checkpoint) -> None:
        log_pages, copied = checkpoint(CHECKPOINT)
        if log_pages <= self._pace.long:
            return
        for _ in range(self._pace.tries):
            before = copied
            _, copied = checkpoint(CHECKPOINT)
            if copied - before <= self._pace.little:
                break
        self._requested = True


def _checkpoint(connection: sqlite3.Connection, how: str) -> LogState:
    """Runs a checkpoint. It may leave pages that a reader or another process still needs."""
    _, pages, copied = connection.execute(how).fetchone()
    return LogState(pages, copied)
