"""Runs commands on a connection, one after the other. Workers are tasks in the event loop (hub.py).

Transactions are READ COMMITTED: a command locks what it decides on before it reads it (queries/postgresql/locks.sql).

If another transaction was in the way, or the connection broke before COMMIT, nothing was kept and the whole command
runs again while its deadline lasts. If COMMIT was sent and not answered, the command may have been kept or not. The
caller gets StorageUnsure, and the command does not run again, because some commands give another answer when they run
a second time.
"""

import queue
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import psycopg
import structlog

from engine.config.postgres_address import PostgresAddress
from engine.runtime import failpoints
from engine.storage import queries
from engine.storage.errors import StorageError, StorageUnavailable, StorageUnsure
from engine.storage.jobs import Job
from engine.storage.postgresql.connecting import Preference
from engine.storage.postgresql.faults import ConnectionLost, Fault, as_storage_error, fault_of, is_damage
from engine.storage.postgresql.hub import Hub
from engine.storage.postgresql.session import SERVER_MARGIN_SECONDS, Session
from engine.storage.transaction import Transaction

# A command that takes longer than this, from when a worker takes it, has failed. A call's decision has little longer.
COMMAND_SECONDS = 2.5
# An engine that works never pauses within a transaction for longer than a command may take, plus this.
IDLE_MARGIN_SECONDS = 0.5
# Before a command runs again, on average; the second time twice as long, and so on.
PAUSE_SECONDS = 0.005
MAX_PAUSE_SECONDS = 0.2

log = structlog.get_logger(__name__)

Committed: TypeAlias = Callable[[Transaction, float], object]
Failed: TypeAlias = Callable[[Exception, bool], object]


class _RunAgain(Exception):
    """Nothing of the command was kept, and it may succeed now."""

    def __init__(self, reason: str, fault: Fault) -> None:
        super().__init__(reason)
        self.fault = fault


class Worker:
    """A task with a queue and a connection.

    Args:
        address: The database.
        seconds: How long a command may take.
        hub: Runs it.
        committed: Called after each commit, with the transaction and how long it took.
        failed: Called if the database failed, and whether it has found its data damaged.

    Attributes:
        jobs: What waits for the worker; None ends it. `wake` it after each.
    """

    def __init__(
        self,
        address: PostgresAddress,
        seconds: float,
        hub: Hub,
        *,
        committed: Committed,
        failed: Failed,
    ) -> None:
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._committed = committed
        self._failed = failed
        self._address = address
        self._seconds = seconds
        self._sql = queries.load("psycopg")
        self._preference = Preference()
        self._session: Session | None = None
        self._transaction: Transaction | None = None  # of the session
        self._is_busy = False
        self._hub = hub
        self._task = hub.add(self._work)

    @property
    def load(self) -> int:
        """How many commands wait for the worker or run on it."""
        return self.jobs.qsize() + self._is_busy

    def wake(self) -> None:
        """Makes the worker look at its queue."""
        self._hub.wake(self._task)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._is_busy = True
            if not job.future.cancelled():  # its caller was cancelled before it began
                try:
                    self._run(job)
                except Exception as error:  # such as a log that cannot be written: the worker goes on
                    job.error = error
            job.resolve()
            self._is_busy = False
        if self._session is not None:
            self._session.close()

    def _next(self) -> Job | None:
        while self.jobs.empty():
            self._hub.idle()
        return self.jobs.get_nowait()

    def _run(self, job: Job) -> None:
        """Runs a command until it is committed or has failed for good."""
        deadline, pause, met_duplicate = time.monotonic() + self._seconds, PAUSE_SECONDS, False
        while True:
            try:
                job.result = self._try(job, deadline)
            except _RunAgain as again:
                late = time.monotonic() + pause >= deadline
                if late or (again.fault is Fault.DUPLICATE and met_duplicate):
                    job.error = self._given_up(again)
                    return
                met_duplicate |= again.fault is Fault.DUPLICATE
                self._hub.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  no secret
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            except Exception as error:
                # A future does not accept a StopIteration.
                stopped = isinstance(error, StopIteration)
                job.error = RuntimeError("a command raised StopIteration") if stopped else error
                return
            else:
                return

    def _given_up(self, again: _RunAgain) -> Exception:
        if again.fault is Fault.DUPLICATE and isinstance(again.__cause__, psycopg.Error):
            return again.__cause__
        error = StorageUnavailable(str(again))
        self._failed(error, False)
        return error

    def _try(self, job: Job, deadline: float) -> Any:  # noqa: ANN401  any command's result
        """Runs a command once.

        Raises:
            _RunAgain: Nothing was kept, and it may succeed now.
            StorageError: The database failed, or did not answer COMMIT.
            Exception: Whatever the command raises; nothing was kept.
        """
        began = time.monotonic()
        try:
            session, transaction = self._connected(deadline)
            session.begin()
            result = job.command(transaction, *job.args, **job.kwargs)
            if failpoints.ARMED:
                failpoints.hit(f"{job.name} before commit")
            session.commit()
        except ConnectionLost as lost:
            self._session = self._transaction = None
            if lost.is_late:
                self._preference.was_silent()
            raise self._after_loss(lost) from lost
        except psycopg.Error as error:
            raise self._after_error(error) from error
        except Exception:
            self._roll_back()
            raise
        if failpoints.ARMED:
            failpoints.hit(f"{job.name} committed")
        try:
            self._committed(transaction, time.monotonic() - began)
        except Exception as error:  # the command was kept, and must not be taken for one that was not
            log.error("commit_not_noted", error=type(error).__name__)
        return result

    def _connected(self, deadline: float) -> tuple[Session, Transaction]:
        if self._session is None or self._transaction is None:
            connect = partial(
                Session,
                self._address,
                statement_seconds=self._seconds + SERVER_MARGIN_SECONDS,
                idle_seconds=self._seconds + IDLE_MARGIN_SECONDS,
                preference=self._preference,
                waiter=self._hub,
            )
            self._session = self._hub.apart(connect)
            self._transaction = Transaction(self._sql, self._session)
            if time.monotonic() >= deadline:  # the connection is for the next command
                raise _RunAgain("it took too long to connect", Fault.LOST)
        self._session.deadline = deadline
        self._transaction.begin_anew()
        return self._session, self._transaction

    def _after_loss(self, lost: ConnectionLost) -> Exception:
        if not lost.is_unsure and not lost.is_late:
            return _RunAgain(str(lost), Fault.LOST)
        kind = StorageUnsure if lost.is_unsure else StorageUnavailable
        error: StorageError = kind(str(lost))
        self._failed(error, False)
        return error

    def _after_error(self, error: psycopg.Error) -> Exception:
        fault = fault_of(error)
        if fault is Fault.LOST:
            self._drop_session()
        else:
            self._roll_back()
        if fault is Fault.OF_THE_COMMAND:
            return error
        if fault is not Fault.OF_THE_DATABASE:
            return _RunAgain(str(error).strip(), fault)
        failure = as_storage_error(error)
        self._failed(failure, is_damage(error))
        return failure

    def _roll_back(self) -> None:
        if self._session is not None:
            try:
                self._session.roll_back()
            except (ConnectionLost, psycopg.Error):
                self._drop_session()

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = self._transaction = None
