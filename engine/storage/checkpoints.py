"""Brings what was committed from SQLite's write-ahead log into the database file, in a thread of its own.

SQLite itself does that within a commit, each time a thousand pages have come together, and every call of that commit
waits for it: the more bookings there are, the farther apart those pages lie. Here the log is emptied while calls go on.
It begins anew only once nothing of it is left to bring over, which under load is never so by chance: when it has grown
long, the thread that commits is asked to bring over the little that came last, see `rest_is_wanted`.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

BRING_OVER = "PRAGMA wal_checkpoint(PASSIVE)"
CUT = "PRAGMA wal_checkpoint(TRUNCATE)"


@dataclass(frozen=True, slots=True)
class Pace:
    """`every`: seconds between two looks. `lull`: seconds without a commit after which the log is cut to nothing.

    `long`: of how many pages a log is begun anew. `little`: how many pages may be left to the thread that commits, if
    no more than `tries` checkpoints one after the other get there.
    """

    every: float = 1.0
    lull: float = 10.0
    long: int = 8_192
    little: int = 256
    tries: int = 4


class Checkpoints:
    """Of one database, for one thread that commits to it. `close()` ends it."""

    def __init__(self, path: Path, pace: Pace) -> None:
        self._path = path
        self._pace = pace
        self._committed = False
        self._rest_is_wanted = False
        self._idle = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """By the thread that commits, each time."""
        self._committed = True

    def rest_is_wanted(self) -> bool:
        """By the thread that commits, before it begins: whether it should bring over what is left, which is little.
        Its next commit then begins the log anew."""
        wanted, self._rest_is_wanted = self._rest_is_wanted, False
        return wanted

    def close(self) -> None:
        """What is left in the log is brought over by whoever closes the database last."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        # Not at once: a command that is over sooner opens no second connection.
        while not self._closing.wait(self._pace.every):
            try:
                with closing(sqlite3.connect(self._path, isolation_level=None, timeout=0)) as connection:
                    self._keep_looking(partial(_checkpoint, connection))
            except sqlite3.Error as error:
                log.warning("checkpoint_failed", error=str(error))
                self._committed = True  # so that it is tried again, over a connection that works

    def _keep_looking(self, checkpoint: Callable[[str], tuple[int, int]]) -> None:
        self._look(checkpoint)
        while not self._closing.wait(self._pace.every):
            self._look(checkpoint)

    def _look(self, checkpoint: Callable[[str], tuple[int, int]]) -> None:
        if self._committed:
            self._committed, self._idle = False, 0.0
            self._bring_over(checkpoint)
            return
        was_idle, self._idle = self._idle, self._idle + self._pace.every
        if was_idle < self._pace.lull <= self._idle:
            length, _ = checkpoint(CUT)
            if length:
                self._idle = 0.0  # somebody still reads there

    def _bring_over(self, checkpoint: Callable[[str], tuple[int, int]]) -> None:
        length, brought = checkpoint(BRING_OVER)
        if length <= self._pace.long:
            return
        for _ in range(self._pace.tries):
            before = brought
            _, brought = checkpoint(BRING_OVER)
            if brought - before <= self._pace.little:
                break
        self._rest_is_wanted = True


def _checkpoint(connection: sqlite3.Connection, how: str) -> tuple[int, int]:
    """How many pages the log has, and how many of them have been brought over. Another process that is at it, or a
    reader that still needs the log, leaves some to the next time."""
    _, length, brought = connection.execute(how).fetchone()
    return length, brought
