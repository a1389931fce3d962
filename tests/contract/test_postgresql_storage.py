"""Commands on a PostgreSQL server that hangs, stops, or does not answer a COMMIT."""

import asyncio
import os
import re
import signal
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
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.storage import queries
from engine.storage.database import open_storage
from engine.storage.errors import (
    StorageError,
    StorageUnavailable,
)
from engine.storage.postgresql.session import Session
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.postgresql.worker import COMMAND_SECONDS
from engine.storage.transaction import Transaction
from tests.contract.racing import PATIENCE_SECONDS, ApartStorage
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
    # On a busy machine, to connect may take longer than a command may. The connection that came late is kept.
    for _ in range(10):
        first = await asyncio.gather(*(storage.run(backend) for _ in range(2)), return_exceptions=True)
        if not any(isinstance(each, StorageUnavailable) for each in first):
            break
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
        assert time.monotonic() - began < COMMAND_SECONDS
        await storage.run_keyed("a", account("Bob"))  # on a new connection
    finally:
        os.kill(process, signal.SIGCONT)
    assert names(postgres) == ["Bob"]


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
    assert time.monotonic() - began < COMMAND_SECONDS
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
    ann = await storage.run(account("Ann"))
    locked, go_on, over = threading.Event(), threading.Event(), threading.Event()
    hanging = ApartStorage(postgres, command_seconds=SECONDS)
    patient = PostgresStorage(postgres, connections=1, command_seconds=20.0)

    def hangs(tx: Transaction) -> None:
        assert tx.accounts.lock(ann.id)
        locked.set()
        go_on.wait(PATIENCE_SECONDS)
        over.set()

    hung = asyncio.ensure_future(hanging.run(hangs))
    assert await asyncio.to_thread(locked.wait, 20)
    assert await patient.run(lambda tx: bool(tx.accounts.lock(ann.id)))
    assert not over.is_set()
    await asyncio.sleep(2 * SECONDS)  # later than that it is not run again
    go_on.set()
    with pytest.raises(StorageUnavailable):
        await hung
    await hanging.close()
    await patient.close()
