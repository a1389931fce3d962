"""A connection to PostgreSQL: prepared statements, sent together, each wait with a deadline.

A statement whose result is not needed yet waits here. It goes to the server with the next one whose result is needed,
or with COMMIT. So most transactions take two round trips: BEGIN with the locks and reads, and the writes with COMMIT.

psycopg's own `execute` waits for a server that hangs for as long as that hangs. So this uses libpq as psycopg wraps it,
in pipeline mode (https://www.postgresql.org/docs/15/libpq-pipeline-mode.html).
"""

import math
import select
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.types.numeric import IntLoader

from engine.config.postgres_address import PostgresAddress
from engine.storage.postgresql.connecting import Preference, open_connection, session_options
from engine.storage.postgresql.faults import ConnectionLost
from engine.storage.postgresql.statements import PostgresRow, SentStatement, row_class
from engine.storage.postgresql.waiting import Blocking, Waiter, can_be_read
from engine.storage.queries import Prepared

# The server's own time-outs are this much longer than any deadline here. They end what a lost engine has left behind.
# They must never end a wait for a standby: the COMMIT would count as done, and only this server would have it.
SERVER_MARGIN_SECONDS = 30
# How long plans are kept. With a plan from when a table was small, each call may read the whole table.
PLANS_SECONDS = 10.0
_BEGIN = Prepared(b"begin", b"BEGIN", writes=False)
_COMMIT, _ROLLBACK = (Prepared(sql.lower(), sql, writes=False) for sql in (b"COMMIT", b"ROLLBACK"))
# Before and after a statement that is planned for its values. If the statement fails, the server undoes the first one.
_EACH_TIME = Prepared(b"plan each time", b"SET plan_cache_mode = force_custom_plan", writes=False)
_ONCE = Prepared(b"plan once", b"SET plan_cache_mode = force_generic_plan", writes=False)
_NEW_PLANS = Prepared(b"new plans", b"DISCARD PLANS", writes=False)
# The most statements that wait. More are sent at once: otherwise the server would wait for us to read its answers.
_MAX_WAITING = 200


class Session:
    """One connection. It does one thing at a time.

    Args:
        address: The database.
        statement_seconds: How long the server runs one statement; None: as long as it takes.
        idle_seconds: How long the server waits for the next statement of a transaction. What an engine that hangs has
            locked is free then.
        read_only: Whether writes are refused.
        preference: Which host to try first.
        waiter: How it waits; by default it blocks its thread.

    Attributes:
        deadline: When the wait for the server ends (time.monotonic).
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        statement_seconds: float | None = None,
        idle_seconds: float = SERVER_MARGIN_SECONDS,
        read_only: bool = False,
        preference: Preference | None = None,
        waiter: Waiter | None = None,
    ) -> None:
        options = session_options(statement_seconds, idle_seconds, read_only=read_only)
        self._keeps_plans = not read_only
        self._new_plans_at = time.monotonic() + PLANS_SECONDS
        try:
            self._connection = open_connection(address.with_options(options, read_only=read_only), preference)
        except psycopg.Error as error:
            raise ConnectionLost(str(error).strip(), is_unsure=False) from error
        self._connection.adapters.register_loader("numeric", IntLoader)  # sums of BIGINT are NUMERIC
        self._pgconn = self._connection.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._transformer = Transformer(self._connection)
        self._waiter = waiter or Blocking()
        self._socket = self._pgconn.socket
        self._waiting: list[SentStatement] = []
        self._prepared: set[bytes] = set()
        self._row_classes: dict[bytes, type[PostgresRow]] = {}
        self._in_transaction = self._has_written = self._commit_is_sent = False
        self._is_refused = False  # the server has said that it does not run the COMMIT of this flush
        self.deadline = math.inf

    def all(self, sql: Prepared, values: tuple[Any, ...]) -> list[PostgresRow]:
        """Runs a statement and returns its rows."""
        statement = self._enqueue(sql, values)
        self.flush()
        return statement.rows

    def first(self, sql: Prepared, values: tuple[Any, ...]) -> PostgresRow | None:
        """Runs a statement and returns its first row."""
        return next(iter(self.all(sql, values)), None)

    def change(self, sql: Prepared, values: tuple[Any, ...]) -> SentStatement:
        """Runs a statement before the next one whose rows are needed, or before the end of the transaction."""
        statement = self._enqueue(sql, values)
        if len(self._waiting) >= _MAX_WAITING:
            self.flush()
        return statement

    def begin(self) -> None:
        """Begins a transaction with the next statement."""
        self._enqueue(_BEGIN, ())
        self._in_transaction, self._has_written = True, False
        self.renew_plans()

    def renew_plans(self) -> None:
        """Has the server plan its next statements anew if the plans that it keeps are old."""
        if (now := time.monotonic()) >= self._new_plans_at:
            self._new_plans_at = now + PLANS_SECONDS
            self._enqueue(_NEW_PLANS, ())

    def commit(self) -> None:
        """Commits the transaction.

        Statements that are sent together are a transaction by themselves. So a transaction of which nothing was sent
        yet needs neither BEGIN nor COMMIT.

        Raises:
            ConnectionLost: Its `is_unsure` says whether the transaction may have been kept.
            psycopg.Error: The server refused; nothing was kept.
        """
        if not self._in_transaction:  # `commit_if` has committed
            return
        ending: SentStatement | None = None
        if self._waiting and self._waiting[0].sql is _BEGIN:
            del self._waiting[0]
        else:
            ending = self._enqueue(_COMMIT, ())
        if self._waiting:
            if self._has_written:
                self._refuse_useless_commit()
            self._commit_is_sent = self._has_written
            self.flush()
        self._in_transaction = self._commit_is_sent = False
        if ending is not None and ending.count is None:
            # A transaction that had failed is rolled back, and COMMIT says so by its tag alone.
            raise errors.InFailedSqlTransaction("COMMIT was answered by ROLLBACK")

    def _refuse_useless_commit(self) -> None:
        """Raises ConnectionLost if no answer to COMMIT could be read: it would be unknown what was kept."""
        if time.monotonic() >= self.deadline:
            raise self._lost("too late to commit", is_late=True)
        try:
            while can_be_read(self._socket):  # the server has ended the connection, or says something that nobody asked
                self._pgconn.consume_input()
        except psycopg.OperationalError as lost:
            raise self._lost(str(lost).strip()) from lost

    @property
    def has_written(self) -> bool:
        """Whether the transaction has a statement that writes."""
        return self._has_written

    def commit_if(self, changed: SentStatement) -> bool:
        """Commits the transaction now, if its only statement that writes has changed anything: one round trip for all.

        Otherwise there was nothing to commit, and a new transaction begins.

        Args:
            changed: The result of that statement.

        Raises:
            ConnectionLost: As for `commit`.
            psycopg.Error: As for `commit`.
        """
        self.commit()
        if not changed:
            self.begin()
        return bool(changed)

    def roll_back(self) -> None:
        """Ends the transaction without a trace. Raises ConnectionLost."""
        self._waiting = [] if self._in_transaction else self._waiting
        if self._in_transaction and self._pgconn.transaction_status != TransactionStatus.IDLE:
            self._enqueue(_ROLLBACK, ())
            self.flush()
        self._in_transaction = self._commit_is_sent = False

    def close(self) -> None:
        """Closes the connection, whatever the server does."""
        self._waiter.forget(self._socket)
        with suppress(psycopg.Error):
            self._pgconn.finish()

    def _enqueue(self, sql: Prepared, values: tuple[Any, ...]) -> SentStatement:
        statement = SentStatement(self.flush, sql, values)
        if sql.by_values and self._keeps_plans:
            self._waiting += (
                SentStatement(self.flush, _EACH_TIME, ()),
                statement,
                SentStatement(self.flush, _ONCE, ()),
            )
        else:
            self._waiting.append(statement)
        self._has_written |= sql.writes
        return statement

    def flush(self) -> None:
        """Sends what waits, and reads the answers.

        Raises:
            ConnectionLost: There is no answer, or no connection.
            psycopg.Error: The first error of the server. It has not run what came after it.
        """
        sent, self._waiting = self._waiting, []
        self._is_refused = False
        try:
            expected = self._send(sent)
            error = self._receive(expected)
        except ConnectionLost:
            raise
        except psycopg.OperationalError as lost:
            raise self._lost(str(lost).strip()) from lost
        except Exception as failure:
            # Answers were left unread, which the next statements would take for theirs.
            loss = self._lost(f"{type(failure).__name__} while answers were read")
            if loss.is_unsure:
                raise loss from failure
            raise
        if error is not None:
            raise error

    def _send(self, statements: list[SentStatement]) -> list[SentStatement | bytes]:
        """Gives statements to libpq. Returns what will be answered: a name stands for a statement's preparation."""
        expected: list[SentStatement | bytes] = []
        preparing: set[bytes] = set()
        for statement in statements:
            name = statement.sql.name
            if name not in self._prepared and name not in preparing:
                self._pgconn.send_prepare(name, statement.sql.sql)
                preparing.add(name)
                expected.append(name)
            self._pgconn.send_query_prepared(name, statement.values)
            expected.append(statement)
        self._pgconn.pipeline_sync()
        return expected

    def _receive(self, expected: list[SentStatement | bytes]) -> psycopg.Error | None:
        """Reads the answers. Returns the first error."""
        is_busy, get_result, take = self._pgconn.is_busy, self._pgconn.get_result, self._take
        unsent = self._pgconn.flush()
        answers = iter(expected)
        first_error: psycopg.Error | None = None
        while True:
            while not is_busy():
                result = get_result()
                if result is None:
                    if self._pgconn.status == ConnStatus.BAD:
                        raise self._lost(str(first_error or "the server has closed the connection"))
                    continue
                if result.status == ExecStatus.PIPELINE_SYNC:
                    return first_error
                error = take(next(answers, None), result)
                first_error = first_error or error
            self._wait(writing=bool(unsent))
            self._pgconn.consume_input()
            unsent = unsent and self._pgconn.flush()

    def _take(self, answered: SentStatement | bytes | None, result: Any) -> psycopg.Error | None:  # noqa: ANN401  a PGresult, in C
        """Takes an answer. Returns the error that it is.

        Args:
            answered: The statement; the name of one that was prepared; None if all are answered.
            result: What the server says.
        """
        if result.status == ExecStatus.PIPELINE_ABORTED:
            return None
        if result.status == ExecStatus.FATAL_ERROR:
            return self._error_of(answered, result)
        if isinstance(answered, bytes):
            self._prepared.add(answered)
        elif answered is None:
            return None
        elif result.status == ExecStatus.TUPLES_OK:
            answered.count = result.ntuples
            answered.rows = self._rows(answered.sql.name, result)
        elif answered.sql is not _COMMIT or result.command_status == b"COMMIT":
            answered.count = result.command_tuples or 0
        return None

    def _error_of(self, answered: SentStatement | bytes | None, result: Any) -> psycopg.Error:  # noqa: ANN401  as above
        error = errors.error_from_result(result)
        is_refusal = error.diag.severity_nonlocalized == "ERROR"
        if answered is None and not is_refusal:  # the server ends the connection, and says why
            raise self._lost(str(error).strip())
        # A server that stops may do so after it has committed, while it waits for a standby. Without COMMIT, a
        # transaction ends when all of its statements are answered.
        is_end = answered is None or (isinstance(answered, SentStatement) and answered.sql is _COMMIT)
        self._is_refused |= is_refusal or not is_end
        return error

    def _rows(self, name: bytes, result: Any) -> list[PostgresRow]:  # noqa: ANN401  as above
        made = self._row_classes.get(name)
        if made is None:
            made = row_class([result.fname(place) for place in range(result.nfields)])
            self._row_classes[name] = made
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, made)

    def _wait(self, *, writing: bool) -> None:
        """Waits for the server until the deadline."""
        events = select.POLLIN | (select.POLLOUT if writing else 0)
        if not self._waiter.wait_for(self._socket, events, self.deadline):
            raise self._lost("the server does not answer", is_late=True)

    def _lost(self, reason: str, *, is_late: bool = False) -> ConnectionLost:
        self.close()
        return ConnectionLost(reason, is_unsure=self._commit_is_sent and not self._is_refused, is_late=is_late)
