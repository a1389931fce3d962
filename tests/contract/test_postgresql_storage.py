"""Commands on a PostgreSQL server that hangs, stops, or does not answer a COMMIT."""

import asyncio
import os
import re
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from engine.accounts.accounts import create_account
from engine.calls.lease_rebalancing import bookings_to_share
from engine.calls.lifecycle import AnswerNoted, note_answer
from engine.calls.reports import AnswerReport
from engine.config.postgres_address import PostgresAddress
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import UsagePlan
from engine.storage import queries
from engine.storage.database import open_storage
from engine.storage.errors import (
    StorageError,
    StorageUnavailable,
    StorageUnsure,
)
from engine.storage.postgresql import session
from engine.storage.postgresql.session import Session
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.postgresql.worker import COMMAND_SECONDS
from engine.storage.transaction import Transaction
from tests.contract.racing import ApartStorage
from tests.contract.samples import START
from tests.contract.world import World
from tests.postgresql import Outsider, empty

SECONDS = 0.6
SLEEP = queries.Prepared(b"sleep", f"SELECT pg_sleep({COMMAND_SECONDS + 0.2})".encode(), writes=False)
ALL_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rented-numbers'"


@pytest.fixture
async def storage(postgres: PostgresAddress) -> AsyncIterator[PostgresStorage]:
    empty(postgres)
    storage = PostgresStorage(postgres, connections=2, command_seconds=SECONDS)
    yield storage
    await storage.close()


def backend(tx: Transaction) -> int:
    """The process that serves this connection."""
    return int(tx.accounts._db._connection.info.backend_pid)


def account(name: str) -> Callable[[Transaction], Any]:
    return lambda tx: create_account(tx, name, START)


def names(postgres: PostgresAddress) -> list[str]:
    with closing(Outsider(postgres)) as outsider:
        return [row["name"] for row in outsider.execute("SELECT name FROM accounts ORDER BY name").fetchall()]


async def test_a_hung_server_costs_a_command_its_time_and_nobody_else_anything(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    """`kill -STOP`: TCP is fine, no timeout of the server's own can end it."""
    process = await storage.run_keyed("a", backend)
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await storage.run_keyed("a", account("Ann"))
        assert time.monotonic() - began < 3 * SECONDS
        await storage.run_keyed("a", account("Bob"))  # on a new connection
    finally:
        os.kill(process, signal.SIGCONT)
    assert names(postgres) == ["Bob"]


async def test_a_connection_that_breaks_before_the_commit_is_made_anew_and_the_command_runs_again(
    storage: PostgresStorage, postgres: PostgresAddress, outside: psycopg.Connection[Any]
) -> None:
    runs = []

    def breaks_once(tx: Transaction) -> None:
        create_account(tx, "Ann", START)
        runs.append(backend(tx))
        if len(runs) == 1:
            outside.execute("SELECT pg_terminate_backend(%s)", (runs[0],))

    await storage.run(breaks_once)
    assert len(set(runs)) == 2
    assert names(postgres) == ["Ann"]


class EndedAfterCommit:
    """Stands for libpq's connection; the server ends it when it has answered the COMMIT and waits for what follows."""

    def __init__(self, real: Any, outside: psycopg.Connection[Any]) -> None:
        self._real, self._outside = real, outside

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def pipeline_sync(self) -> None:
        self._real.send_flush_request()
        while self._real.flush():
            pass
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND wait_event = 'ClientRead'"
        while self._outside.execute(waits, (self._real.backend_pid,)).fetchone() is None:
            time.sleep(0.01)
        self._outside.execute("SELECT pg_terminate_backend(%s, 5000)", (self._real.backend_pid,))
        self._real.pipeline_sync()


async def test_a_connection_that_ends_after_the_commit_was_answered_leaves_it_unsure(
    storage: PostgresStorage, postgres: PostgresAddress, outside: psycopg.Connection[Any]
) -> None:
    def command(tx: Transaction) -> None:
        create_account(tx, "Ann", START)
        connection = tx.accounts._db
        connection._pgconn = EndedAfterCommit(connection._pgconn, outside)

    with pytest.raises(StorageUnsure):
        await storage.run(command)
    assert names(postgres) == ["Ann"]


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("has_read", [True, False], ids=["with COMMIT", "in one round trip"])
async def test_an_unanswered_commit_is_reported_as_such_and_never_repeated(
    storage: PostgresStorage,
    outside: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_read: bool,
    is_kept: bool,
) -> None:
    runs: list[int] = []
    receive = Session._receive

    def no_answer(self: Session, expected: list[Any]) -> Any:
        if not self._commit_is_sent:
            return receive(self, expected)
        assert (getattr(expected[-1], "sql", None) is session._COMMIT) == has_read
        self._pgconn.flush()
        if is_kept:
            receive(self, expected)
        raise psycopg.OperationalError("the connection broke")

    def command(tx: Transaction) -> None:
        runs.append(backend(tx))
        if has_read:
            tx.accounts.all()
        tx.accounts._sql.rename_account(tx.accounts._db, id=ann.id, name="Bob")

    ann = await storage.run(account("Ann"))
    with monkeypatch.context() as patched:
        patched.setattr(Session, "_receive", no_answer)
        with pytest.raises(StorageUnsure):
            await storage.run(command)
    # The server may not know yet that the connection is gone, and must not keep the command later.
    outside.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = ANY(%s)", (runs,))
    assert len(runs) == 1
    found = outside.execute("SELECT name FROM accounts").fetchall()
    assert found == [("Bob",)] or (found == [("Ann",)] and not is_kept)


async def test_a_command_that_only_reads_runs_again_whenever_the_connection_breaks(
    storage: PostgresStorage, outside: psycopg.Connection[Any]
) -> None:
    await storage.run_keyed("a", backend)
    outside.execute(ALL_ENDED)
    assert await storage.run_keyed("a", lambda tx: tx.accounts.all()) == []


async def test_a_lock_that_nobody_releases_is_not_waited_for_beyond_the_deadline(
    storage: PostgresStorage, outside: psycopg.Connection[Any]
) -> None:
    ann = await storage.run(account("Ann"))
    outside.execute("BEGIN")
    outside.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", (ann.id,))
    began = time.monotonic()
    with pytest.raises(StorageError):
        await storage.run(lambda tx: int(tx.accounts.close(ann.id, START)))
    assert time.monotonic() - began < 3 * SECONDS
    outside.execute("ROLLBACK")


async def test_an_operators_command_may_take_longer_than_a_calls(postgres: PostgresAddress) -> None:
    storage = open_storage(postgres, is_patient=True)
    await storage.run(lambda tx: tx.accounts._db.all(SLEEP, ()))
    await storage.close()


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that waited for the server, once for each round trip."""
    waited, flush = [], Session.flush

    def counted(self: Session) -> None:
        waited.append(self)
        flush(self)

    monkeypatch.setattr(Session, "flush", counted)
    return waited


async def test_idle_seconds_of_many_bookings_are_found_in_few_round_trips(
    postgres: PostgresAddress, storage: PostgresStorage, flushes: list[Session]
) -> None:
    world = await World.begin(storage, postgres)
    for number in range(4):
        await world.bridge(await world.book(UsagePlan.LARGE), f"c{number}")
        await world.answered(CallId(f"c{number}"))
    flushes.clear()
    await storage.run(bookings_to_share, world.at, world.policy)
    assert len(flushes) == 3  # the bookings, the calls, the end


async def test_the_steps_of_a_call_take_few_round_trips(
    postgres: PostgresAddress, storage: PostgresStorage, flushes: list[Session]
) -> None:
    world = await World.begin(storage, postgres)
    booking, call_id, taken = await world.book(UsagePlan.LARGE), CallId("c1"), []
    flushes.clear()
    lease = (await world.bridge(booking, call_id)).seconds
    taken.append(len(flushes))
    report = AnswerReport(call_id, booking.id, "c1-callee", lease)
    assert await storage.run(note_answer, report, world.at) == AnswerNoted()
    taken.append(len(flushes))
    await world.ended(call_id, 7_000)
    taken.append(len(flushes))
    assert taken == [2, 3, 5]  # the decision takes two, the answer one, the end two


def test_no_index_of_bookings_holds_their_credit(postgres: PostgresAddress) -> None:
    """Otherwise PostgreSQL writes all their indexes anew with each lease and each settlement (heap-only tuples)."""
    with psycopg.connect(postgres) as server:
        indexes = server.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'bookings'").fetchall()
    assert indexes
    assert not [row for row in indexes if re.search("(seconds|calls)_(remaining|leased|settled)", row[0])]


async def test_a_deadlock_is_resolved_by_running_one_of_both_again(postgres: PostgresAddress) -> None:
    empty(postgres)
    storages = [ApartStorage(postgres) for _ in range(2)]
    one, other = await storages[0].run(account("Ann")), await storages[0].run(account("Bob"))
    runs = []

    def renamed(tx: Transaction, first: str, second: str, suffix: str) -> None:
        runs.append(suffix)
        int(tx.accounts._sql.rename_account(tx.accounts._db, id=first, name=first + suffix))
        time.sleep(0.3)
        int(tx.accounts._sql.rename_account(tx.accounts._db, id=second, name=second + suffix))

    await asyncio.gather(
        storages[0].run(renamed, one.id, other.id, "-x"),
        storages[1].run(renamed, other.id, one.id, "-y"),
    )
    for storage in storages:
        await storage.close()
    assert sorted(set(runs)) == ["-x", "-y"]
    assert len(runs) > 2
    assert len({name[-2:] for name in names(postgres)}) == 1


async def test_commands_with_one_key_run_in_their_order(storage: PostgresStorage) -> None:
    ran: list[int] = []

    def runs(_: Transaction, number: int) -> None:
        ran.append(number)

    await asyncio.gather(*[storage.run_keyed("call", runs, number) for number in range(50)])
    assert ran == list(range(50))


async def test_a_text_with_a_nul_character_is_refused_clearly(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    ann = await storage.run(account("Ann"))
    with pytest.raises(InvalidInput, match="code 0"):
        await storage.run(lambda tx: tx.accounts.suspend(ann.id, "a\0b", START))
    await storage.run(account("Bob"))
    assert names(postgres) == ["Ann", "Bob"]


async def test_a_constraint_gives_the_error_to_the_caller_and_keeps_nothing(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    def broken(tx: Transaction) -> None:
        create_account(tx, "Ann", START)
        tx.accounts._sql.insert_api_key(
            tx.accounts._db, id="key_1", account_id="acc_none", digest="", hint="", created_at=START
        )

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await storage.run(broken)
    assert names(postgres) == []


async def test_what_an_engine_that_hangs_has_locked_is_free_soon(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    ann, locked = await storage.run(account("Ann")), threading.Event()
    hanging = ApartStorage(postgres, command_seconds=SECONDS)
    patient = PostgresStorage(postgres, connections=1, command_seconds=20.0)

    def hangs(tx: Transaction) -> None:
        assert tx.accounts.lock(ann.id)
        locked.set()
        time.sleep(4 * SECONDS)

    hung = asyncio.ensure_future(hanging.run(hangs))
    assert await asyncio.to_thread(locked.wait, 20)
    began = time.monotonic()
    assert await patient.run(lambda tx: bool(tx.accounts.lock(ann.id)))
    assert time.monotonic() - began < 3 * SECONDS
    with pytest.raises(StorageUnavailable):
        await hung
    await hanging.close()
    await patient.close()


async def test_a_transaction_of_one_round_trip_that_fails_at_its_end_is_refused_and_not_unsure(
    storage: PostgresStorage, postgres: PostgresAddress, outside: psycopg.Connection[Any]
) -> None:
    """A deferred trigger fails after all statements were answered."""
    ann = await storage.run(account("Ann"))
    outside.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        with pytest.raises(psycopg.errors.CheckViolation):
            await storage.run(lambda tx: tx.accounts.rename(ann.id, "Bob"))
        assert names(postgres) == ["Ann"]
    finally:
        outside.execute("DROP FUNCTION refuse CASCADE")
    await storage.run(lambda tx: tx.accounts.rename(ann.id, "Bob"))  # on the same connection
    assert names(postgres) == ["Bob"]


async def test_answers_that_were_not_read_are_never_taken_for_those_of_another_command(
    storage: PostgresStorage, postgres: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, rows = await storage.run_keyed("a", account("Ann")), Session._rows

    def fails_once(*_: object) -> None:
        monkeypatch.setattr(Session, "_rows", rows)
        raise ValueError("a value that cannot be read")

    monkeypatch.setattr(Session, "_rows", fails_once)
    with pytest.raises(ValueError, match="cannot be read"):
        await storage.run_keyed("a", lambda tx: tx.accounts.all())
    await storage.run_keyed("a", lambda tx: tx.accounts.rename(ann.id, "Bob"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        await storage.run_keyed("a", lambda tx: tx.accounts.insert(ann))
    assert [each["name"] for each in await storage.run_keyed("a", lambda tx: tx.accounts.all())] == ["Bob"]
    assert names(postgres) == ["Bob"]


async def test_a_connection_that_has_ended_while_idle_makes_no_commit_unsure(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    """A proxy that drops it says nothing, so only the socket shows it."""
    ann = await storage.run_keyed("a", account("Ann"))
    descriptor = await storage.run_keyed("a", lambda tx: tx.accounts._db._socket)
    with closing(socket.socket(fileno=os.dup(descriptor))) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    await asyncio.sleep(0.05)
    await storage.run_keyed("a", lambda tx: tx.accounts.rename(ann.id, "Bob"))
    assert names(postgres) == ["Bob"]


async def test_a_command_that_is_too_late_to_hear_of_its_commit_does_not_commit(
    storage: PostgresStorage, postgres: PostgresAddress
) -> None:
    ann = await storage.run(account("Ann"))

    def stalls(tx: Transaction) -> None:
        tx.accounts.all()
        time.sleep(SECONDS + 0.05)
        tx.accounts.rename(ann.id, "Bob")

    with pytest.raises(StorageUnavailable) as refused:
        await storage.run(stalls)
    assert type(refused.value) is StorageUnavailable
    assert names(postgres) == ["Ann"]


async def test_what_fails_after_a_commit_does_not_undo_it(storage: PostgresStorage, postgres: PostgresAddress) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    def posts(tx: Transaction) -> None:
        create_account(tx, "Ann", START)
        tx.posted_for = frozenset({AccountId("acc_1")})

    storage.when_posted(fails)
    await storage.run(posts)
    assert names(postgres) == ["Ann"]
