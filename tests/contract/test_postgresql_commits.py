"""What becomes of a command whose connection, server or time ends near its COMMIT."""

import asyncio
import os
import socket
import time
from contextlib import closing
from typing import Any

import psycopg
import pytest

from engine.accounts.accounts import create_account
from engine.config.postgres_address import PostgresAddress
from engine.domain.ids import AccountId
from engine.storage.errors import (
    StorageUnavailable,
    StorageUnsure,
)
from engine.storage.postgresql import session
from engine.storage.postgresql.session import Session
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import START
from tests.contract.test_postgresql_storage import SECONDS, account, backend, names, storage

__all__ = ["storage"]  # a fixture


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
