"""M13: a database that fails. Callers get an error, nothing is half stored, and work resumes after the fault."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.storage import sqlite
from engine.storage.errors import StorageUnavailable
from engine.storage.migrate import require_usable
from engine.storage.sqlite import SqliteStorage, connect
from engine.storage.transaction import Transaction
from tests.contract.samples import SECOND, START
from tests.contract.test_group_commit import add, hold, stored
from tests.contract.world import World, outsider
from tests.programs import ended

pytestmark = pytest.mark.sqlite_only

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked_by_another_process(database: Path) -> Iterator[None]:
    command = [sys.executable, "-c", LOCKER, str(database)]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        yield
        locker.communicate("\n", timeout=10)


@contextmanager
def full_disk(storage: SqliteStorage) -> Iterator[None]:
    """Keeps the database from growing; the storage must be idle."""
    execute = storage._connection.execute
    [pages] = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count = {pages}")
    yield
    execute("PRAGMA max_page_count = 1073741823")


def fill(tx: Transaction, first: int) -> None:
    for n in range(first, first + 2_000):
        tx.numbers.insert(E164(f"+32255{n:06}"), START)


async def test_on_a_full_disk_a_command_fails_whole_and_a_later_one_works(
    storage: SqliteStorage, database: Path
) -> None:
    with full_disk(storage):
        with pytest.raises(StorageUnavailable, match="full"):
            await storage.run(fill, 0)
        assert stored(database) == []
    await storage.run(fill, 0)
    assert len(stored(database)) == 2_000


async def test_on_a_full_disk_every_command_of_the_batch_fails(storage: SqliteStorage, database: Path) -> None:
    with full_disk(storage):
        blocked = await hold(storage)
        waiting = asyncio.gather(
            storage.run(add, E164("+32470000001")),
            storage.run(fill, 0),
            storage.run(add, E164("+32470000002")),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
        await blocked.release()
        assert [type(outcome) for outcome in await waiting] == [StorageUnavailable] * 3
        assert stored(database) == []


async def test_on_a_full_disk_no_call_is_bridged_unmetered(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "before")
    await world.ended(CallId("before"), 0, "BUSY")
    let_through = 0

    async def calls_without_end() -> None:
        nonlocal let_through
        for n in range(10_000):
            await world.bridge(booking, f"c{n}")
            let_through += 1
            await world.ended(CallId(f"c{n}"), 0, "BUSY")

    assert isinstance(world.storage, SqliteStorage)
    # The existing pages hold a few more calls; then there is no room for a lease.
    with full_disk(world.storage), pytest.raises(StorageUnavailable, match="full"):
        await calls_without_end()
    assert len(world.rows("SELECT * FROM calls")) == let_through + 1
    await world.sweep()


async def test_a_failing_database_statement_undoes_its_batch_and_the_next_one_works(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    with outsider(world.database) as connection:
        connection.execute("ALTER TABLE outbox RENAME TO elsewhere")
    blocked = await hold(world.storage)
    waiting = asyncio.gather(
        world.storage.run(add, E164("+32470000001")), world.ended(CallId("c1"), SECOND), return_exceptions=True
    )
    await asyncio.sleep(0)
    await blocked.release()
    assert [type(outcome) for outcome in await waiting] == [StorageUnavailable] * 2
    assert world.rows("SELECT * FROM numbers WHERE e164 = '+32470000001'") == world.rows("SELECT * FROM cdrs") == []
    with outsider(world.database) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO outbox")
    assert await world.ended(CallId("c1"), SECOND)


async def test_a_database_locked_by_another_process_stores_nothing_until_it_is_released(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.05)
    storage = SqliteStorage(database)
    with locked_by_another_process(database):
        outcomes = await asyncio.gather(
            *(storage.run(add, E164(f"+3225500000{n}")) for n in range(5)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 5
    assert stored(database) == []
    assert await storage.run(add, E164("+32255000009")) == "+32255000009"
    await storage.close()
    assert stored(database) == ["+32255000009"]


async def test_a_command_waits_for_another_processs_short_lock(storage: SqliteStorage, database: Path) -> None:
    with locked_by_another_process(database):
        waiting = asyncio.ensure_future(storage.run(add, E164("+32255000001")))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting == "+32255000001"


def corrupt_numbers(database: Path) -> None:
    """Overwrites the first page of the table and of its index; the rest of the file stays unchanged."""
    with outsider(database) as connection:
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'numbers'").fetchall()
        [page_size] = connection.execute("PRAGMA page_size").fetchone().values()
    with database.open("r+b") as file:
        for root in roots:
            file.seek((root["rootpage"] - 1) * page_size)
            file.write(b"\xa5" * page_size)


async def test_a_corrupt_database_is_reported_as_unavailable(storage: SqliteStorage, database: Path) -> None:
    await storage.run(fill, 0)
    await storage.close()
    corrupt_numbers(database)
    broken = SqliteStorage(database)
    for command in (add, lambda tx, number: tx.numbers.is_ours(number)):
        with pytest.raises(StorageUnavailable, match="malformed"):
            await broken.run(command, E164("+32255999999"))
    await broken.close()


async def test_every_commit_reaches_the_disk(database: Path) -> None:
    connection = connect(database)
    assert [*connection.execute("PRAGMA synchronous").fetchone()] == [2]
    assert [*connection.execute("PRAGMA journal_mode").fetchone()] == ["wal"]
    assert [*connection.execute("PRAGMA foreign_keys").fetchone()] == [1]
    connection.close()


async def test_a_committed_answer_survives_reopening_the_storage(world: World) -> None:
    booking = await world.book()
    await world.talk(booking, CallId("c1"), 10 * SECOND)
    await world.storage.close()
    world.storage = SqliteStorage(world.database)
    stored_again = await world.stored(booking)
    assert (stored_again.seconds.settled, stored_again.calls.settled) == (10, 1)
    assert await world.ended(CallId("c1"), 10 * SECOND) is None
    await world.storage.close()


async def test_a_mark_that_could_not_be_committed_does_not_make_the_database_look_older(
    storage: SqliteStorage, database: Path
) -> None:
    await storage.beat()

    def beat_and_fill(tx: Transaction) -> None:
        storage._marks.beat()
        fill(tx, 0)

    with full_disk(storage), pytest.raises(StorageUnavailable, match="full"):
        await storage.run(beat_and_fill)
    await storage.close()
    require_usable(database, alone=True)
