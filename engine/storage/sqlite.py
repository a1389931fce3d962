"""SQLite with group commit: one thread owns the connection and commits many commands with one fsync.

The thread takes all waiting commands (see jobs.py) as one batch and runs them inside one BEGIN IMMEDIATE … COMMIT.
Callers get their results only after the commit. If the commit fails, every command of the batch fails and nothing of it
was kept.

A command that raises undoes only itself. For commands given to `run`, which may raise, a savepoint sees to that. Those
given to `run_keyed`, the call path's, run without one. If one of them raises, which only a bug makes it do, the batch
is rolled back and run again with a savepoint for each command. No batch runs more than twice.

The database's files are compared with those that were opened, before each commit and again before its callers know of
it (engine/storage/files.py). From the first difference on every command fails: no call, booking or key is acknowledged
that no code path finds again.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from engine.runtime import failpoints
from engine.storage import queries
from engine.storage.checkpoints import CHECKPOINT, Checkpoints, Pace
from engine.storage.commands import Commands
from engine.storage.errors import DAMAGE, StorageUnavailable, is_of_database
from engine.storage.files import FileGuard, writing
from engine.storage.jobs import Job, answer, next_batch
from engine.storage.marks import Marks
from engine.storage.revocations import RevocationLog
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 5.0
# Enough for the upper levels of a large database's indexes, so that a look-up reads only one page, a leaf.
CACHE_KIB = 16 * 1024
# Marks after which the log is copied even if nothing else was written.
BEATS_A_CHECKPOINT = 30
# After a burst, SQLite truncates the write-ahead log to this size.
LOG_BYTES = 64 * 1024 * 1024

log = structlog.get_logger(__name__)


def connect(path: Path) -> sqlite3.Connection:
    """Opens a writing connection in WAL mode. Every commit is synced to the disk, and deleted data is overwritten."""
    connection = writing(path, timeout=BUSY_TIMEOUT_SECONDS)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


class _RaisedWithoutSavepointError(Exception):
    """A command that has no savepoint raised: what the batch has written so far cannot be kept."""


class SqliteStorage(Commands):
    """Runs commands in transactions, in a thread that `close` ends.

    Args:
        path: A migrated database.
        pace: When the write-ahead log is checkpointed.
    """

    def __init__(self, path: Path, pace: Pace = Pace()) -> None:  # noqa: B008  it is immutable
        super().__init__()
        self._connection = connect(path)
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        self._checkpoints = Checkpoints(path, pace)
        sql = queries.load("sqlite3")
        self._transaction = Transaction(sql, self._connection)
        self._marks = Marks(self._connection, sql, path)
        self._guard = FileGuard(path)
        self._revocations = RevocationLog(path)
        self._beats = 0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="storage", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many commands wait."""
        return self._jobs.qsize()

    @property
    def is_replaced(self) -> bool:
        """Whether the database's files were replaced or removed. Every command fails then."""
        return self._guard.is_replaced

    def beat(self) -> asyncio.Future[None]:
        """Writes a mark, which shows that the database can be written (engine/storage/marks.py)."""
        return self.run(self._beat)

    def _beat(self, _: Transaction) -> None:
        self._beats += 1
        self._marks.beat()

    def _is_quiet(self, batch: list[Job]) -> bool:
        """Returns whether a batch is a mark alone. Most of these do not count, or there would never be a lull."""
        return len(batch) == 1 and batch[0].command == self._beat and self._beats % BEATS_A_CHECKPOINT != 0

    def run(
        self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command that may raise. See `engine.storage.interface.Storage`."""
        return self._take(self._jobs, self.waiting, command, args, kwargs, may_raise=True)

    def run_keyed(
        self, key: str, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command of the call path. All commands run in their order here, so `key` has no effect."""
        return self._take(self._jobs, self.waiting, command, args, kwargs, may_raise=False)

    async def close(self) -> None:
        """Runs the waiting commands, then closes the database."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        open_ = True
        while open_:
            batch, open_ = next_batch(self._jobs)
            if batch:
                kept = self._run_batch(batch)
                if not self._is_quiet(batch):
                    self._checkpoints.committed()
                self._wake_callback_worker()
                answer(batch)
                if kept:
                    # After the answers: a log that begins anew costs one more commit, for which no command waits.
                    self._marks.committed()
                else:
                    self._marks.undone()
        self._checkpoints.close()
        self._marks.close()
        self._connection.close()

    def _run_batch(self, batch: list[Job]) -> bool:
        """Runs and commits a batch. Returns whether it was kept."""
        began = time.perf_counter()
        try:
            if self._checkpoints.take_request():
                self._checkpoint()
            self._guard.check()
            try:
                self._commit(batch, savepoints=False)
            except _RaisedWithoutSavepointError as raised:
                log.warning("batch_repeated", commands=len(batch), error=type(raised.__cause__).__name__)
                self._roll_back()
                self._transaction.posted_for = frozenset()
                self._commit(batch, savepoints=True)
            self._guard.check()
            self._note_commit(len(batch), time.perf_counter() - began, self._transaction.ended)
        except (sqlite3.Error, OSError, StorageUnavailable) as error:
            self._fail(batch, error)
            return False
        return True

    def _fail(self, batch: list[Job], error: Exception) -> None:
        failure = error if isinstance(error, StorageUnavailable) else StorageUnavailable(str(error))
        for job in batch:
            job.error = failure
        is_damage = getattr(error, "sqlite_errorcode", None) in DAMAGE
        self._note_failure(error, commands=len(batch), is_damage=is_damage)
        with suppress(sqlite3.Error):  # a rollback that fails must not end the thread
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite may have rolled back already
            self._connection.execute("ROLLBACK")

    def _commit(self, batch: list[Job], *, savepoints: bool) -> None:
        """Runs the batch in one transaction. `savepoints`: one for each command, not only for those that may raise."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._transaction.withdrawn.clear()
        self._transaction.ended.clear()
        for job in batch:
            if job.future.cancelled():
                continue  # the caller was cancelled before this job began
            if savepoints or job.may_raise:
                self._run_in_savepoint(job)
            else:
                self._run_bare(job)
            if failpoints.ARMED:
                failpoints.hit(f"{job.name} before commit")
        if self._transaction.withdrawn:
            self._revocations.append(self._transaction.withdrawn)
            failpoints.hit("withdrawals logged")
        self._connection.execute("COMMIT")
        if failpoints.ARMED:
            for job in batch:
                failpoints.hit(f"{job.name} committed")

    def _checkpoint(self) -> None:
        try:
            self._connection.execute(CHECKPOINT)
        except sqlite3.Error as error:
            # Committed data stays in the log, and further commits still work.
            log.warning("checkpoint_failed", error=str(error))

    def _wake_callback_worker(self) -> None:
        self._wake(self._transaction.posted_for)
        self._transaction.posted_for = frozenset()

    def _run_bare(self, job: Job) -> None:
        try:
            job.result = job.command(self._transaction, *job.args, **job.kwargs)
        except Exception as error:
            if is_of_database(error):
                raise  # and the whole batch fails
            raise _RaisedWithoutSavepointError from error

    def _run_in_savepoint(self, job: Job) -> None:
        execute = self._connection.execute
        job.error = None  # of the batch's first run
        posted_before, withdrawn_before = self._transaction.posted_for, len(self._transaction.withdrawn)
        ended_before = len(self._transaction.ended)
        execute("SAVEPOINT command")
        try:
            job.result = job.command(self._transaction, *job.args, **job.kwargs)
        except Exception as error:
            if is_of_database(error):
                raise  # as above
            execute("ROLLBACK TO command")
            self._transaction.posted_for = posted_before
            del self._transaction.withdrawn[withdrawn_before:]
            del self._transaction.ended[ended_before:]
            # A future does not accept a StopIteration.
            job.error = RuntimeError("a command raised StopIteration") if isinstance(error, StopIteration) else error
        execute("RELEASE command")
