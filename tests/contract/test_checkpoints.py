"""The write-ahead log (WAL): checkpoints run outside the commit thread and keep it short under continuous load."""

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog

from engine.domain.numbers import E164
from engine.storage import checkpoints, queries, sqlite
from engine.storage.checkpoints import CHECKPOINT, TRUNCATE, LogState, Pace
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import START
from tests.contract.test_group_commit import add

pytestmark = pytest.mark.sqlite_only

PAGE_BYTES = 4096
QUICK = Pace(every=0.02, lull=0.1, long=64, little=16, tries=4)
SLOW = Pace(every=3600.0, long=8)


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def beginning_of(log: Path) -> bytes:
    """Returns the header of the WAL. Its salt changes with every restart of the log."""
    with log.open("rb") as file:
        return file.read(32)


def in_file(database: Path, copy: Path) -> int:
    """Returns how many numbers the database file holds without its WAL."""
    copy.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as connection:
        [count] = connection.execute("SELECT COUNT(*) FROM numbers").fetchone()
    return int(count)


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Keeps a reader's transaction open."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


def fill(tx: Transaction, first: int) -> None:
    for n in range(first, first + 100):
        tx.numbers.insert(E164(f"+3225{n:07}"), START)


def commit(database: Path, first: int) -> None:
    """Runs a checkpoint as the storage's thread would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        fill(Transaction(queries.load("sqlite3"), connection), first)
        connection.execute("COMMIT")


def reading(database: Path) -> sqlite3.Connection:
    """Until it is closed, no later commit is checkpointed."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM numbers").fetchone()
    return connection


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  there is no event of it
            await asyncio.sleep(0.01)


async def test_a_long_wal_restarts_even_with_a_remainder(database: Path) -> None:
    storage = SqliteStorage(database, SLOW)
    try:
        await storage.run(fill, 0)
        with closing(reading(database)):
            await storage.run(fill, 100)
            with closing(sqlite3.connect(database, isolation_level=None)) as connection:
                storage._checkpoints._check(partial(checkpoints._checkpoint, connection))
        before = beginning_of(log_of(database))
        await storage.run(add, E164("+32255999999"))
        assert beginning_of(log_of(database)) != before
        before = beginning_of(log_of(database))
        await storage.run(add, E164("+32255999998"))
        assert beginning_of(log_of(database)) == before
    finally:
        await storage.close()


async def test_a_short_wal_is_checkpointed_without_the_commit_thread(database: Path) -> None:
    storage = SqliteStorage(database, Pace(every=3600.0))
    try:
        await storage.run(fill, 0)
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            storage._checkpoints._check(partial(checkpoints._checkpoint, connection))
        assert not storage._checkpoints.take_request()
    finally:
        await storage.close()


async def test_a_long_wal_is_checkpointed_until_little_remains(database: Path) -> None:
    storage = SqliteStorage(database, Pace(every=3600.0, long=4, little=2, tries=8))
    await storage.run(fill, 0)
    # The log is new, so a commit that marks it follows the answer. The next command waits for it.
    await storage.run(lambda _: None)
    seen: list[LogState] = []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        readers = [reading(database)]
        commit(database, 100)

        def while_it_looks(how: str) -> LogState:
            seen.append(checkpoints._checkpoint(connection, how))
            if len(seen) < 3:
                readers.append(reading(database))
                commit(database, 100 + 100 * len(seen))
            if len(seen) <= 3:
                readers.pop(0).close()
            return seen[-1]

        storage._checkpoints._check(while_it_looks)
    assert storage._checkpoints.take_request()
    await storage.close()
    brought = [pages for _, pages in seen]
    assert len(seen) == 5
    assert brought[0] < brought[1] < brought[2] < brought[3] == brought[4] == seen[4][0]


async def test_no_commit_runs_a_checkpoint_itself(database: Path, tmp_path: Path) -> None:
    storage = SqliteStorage(database, SLOW)
    try:
        for first in range(0, 60_000, 10_000):
            await asyncio.gather(*(storage.run(fill, first + 100 * each) for each in range(100)))
        assert log_of(database).stat().st_size > 1_000 * PAGE_BYTES
        assert in_file(database, tmp_path / "copy") == 0
    finally:
        await storage.close()


async def test_commits_reach_the_database_file_while_the_engine_runs(database: Path, tmp_path: Path) -> None:
    storage = SqliteStorage(database, QUICK)
    try:
        await storage.run(fill, 0)
        await until(lambda: in_file(database, tmp_path / "copy") == 100)
    finally:
        await storage.close()


async def test_the_wal_is_truncated_when_idle(database: Path) -> None:
    storage = SqliteStorage(database, QUICK)
    try:
        await storage.run(fill, 0)
        assert log_of(database).stat().st_size > 0
        await until(lambda: log_of(database).stat().st_size == 0)
        await storage.run(add, E164("+32255999999"))
        assert log_of(database).stat().st_size > 0
        await until(lambda: log_of(database).stat().st_size == 0)
    finally:
        await storage.close()


async def test_a_reader_during_an_idle_time_delays_no_commit_and_the_wal_is_truncated_later(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 1.0)
    storage = SqliteStorage(database, QUICK)
    try:
        await storage.run(fill, 0)
        with closing(reading(database)):
            await storage.run(fill, 100)
            await asyncio.sleep(3 * QUICK.lull)
            # Waiting for the reader would hold the lock that a commit needs.
            await storage.run(add, E164("+32255999999"))
            await asyncio.sleep(3 * QUICK.lull)
        await until(lambda: log_of(database).stat().st_size == 0)
    finally:
        await storage.close()


async def test_a_reader_of_the_wal_delays_no_commit(database: Path) -> None:
    storage = SqliteStorage(database, QUICK)
    try:
        await storage.run(fill, 0)
        with closing(reading(database)) as reader:
            for first in range(100, 20_000, 100):
                await storage.run(fill, first)
            assert log_of(database).stat().st_size > QUICK.long * PAGE_BYTES
            assert reader.execute("SELECT COUNT(*) FROM numbers").fetchone() == (100,)
            reader.execute("COMMIT")
        await until(lambda: log_of(database).stat().st_size == 0)
    finally:
        await storage.close()


async def test_closing_stops_checkpoints_and_leaves_one_file(database: Path, tmp_path: Path) -> None:
    storage = SqliteStorage(database, QUICK)
    await storage.run(fill, 0)
    await until(lambda: in_file(database, tmp_path / "copy") == 100)  # so the checkpointer has opened the database
    await storage.close()
    assert not storage._checkpoints._thread.is_alive()
    assert not log_of(database).exists()


async def test_a_failed_checkpoint_is_retried(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = {CHECKPOINT: sqlite3.OperationalError("disk I/O error"), TRUNCATE: sqlite3.DatabaseError("no")}

    works = checkpoints._checkpoint

    def fails_at_first(connection: sqlite3.Connection, how: str) -> tuple[int, int]:
        if how in failures:
            raise failures.pop(how)
        return works(connection, how)

    monkeypatch.setattr(checkpoints, "_checkpoint", fails_at_first)
    storage = SqliteStorage(database, QUICK)
    try:
        await storage.run(fill, 0)
        await until(lambda: log_of(database).stat().st_size == 0)
    finally:
        await storage.close()
    assert not failures


async def test_a_database_that_cannot_be_opened_for_a_checkpoint_is_opened_later(database: Path) -> None:
    """All file descriptors are in use, at the start or later."""
    storage = SqliteStorage(database, Pace(every=0.5, lull=0.5))
    try:
        await storage.run(fill, 0)
        with structlog.testing.capture_logs() as logged, no_descriptors_left():
            await until(lambda: any(entry["event"] == "checkpoint_failed" for entry in logged))
        await until(lambda: log_of(database).stat().st_size == 0)
    finally:
        await storage.close()


async def test_a_remainder_that_cannot_be_checkpointed_fails_no_command(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(database, SLOW)
    try:
        monkeypatch.setattr(sqlite, "CHECKPOINT", "SELECT 1 FROM nowhere")
        storage._checkpoints._requested = True
        assert await storage.run(add, E164("+32255999999")) == "+32255999999"
        assert not storage._checkpoints._requested
    finally:
        await storage.close()
