"""Many commands, one commit: when each caller gets an answer, and that a failing command affects no other."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.storage import commands, jobs
from engine.storage.errors import StorageBusy, StorageUnavailable
from engine.storage.interface import Storage
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import START
from tests.contract.world import outsider

pytestmark = pytest.mark.sqlite_only


class Blocked:
    """A command that blocks the storage's thread, so that later commands wait together."""

    def __init__(self, storage: Storage) -> None:
        self._begun, self._release = threading.Event(), threading.Event()
        self.task = asyncio.ensure_future(storage.run(self._hold))

    def _hold(self, _: Transaction) -> None:
        self._begun.set()
        assert self._release.wait(10)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)

    async def release(self) -> None:
        self._release.set()
        await self.task


async def hold(storage: Storage) -> Blocked:
    blocked = Blocked(storage)
    await blocked.begun()
    return blocked


def add(tx: Transaction, number: E164) -> str:
    tx.numbers.insert(number, START)
    return number


def add_and_fail(tx: Transaction, number: E164) -> None:
    tx.numbers.insert(number, START)
    raise ZeroDivisionError(number)


def ways_to_run(storage: SqliteStorage) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns both ways: for commands that may raise, and for those of the call path."""
    return storage.run, partial(storage.run_keyed, "key")


def numbers(count: int) -> list[str]:
    return [f"+32255{n:05}" for n in range(count)]


def stored(database: Path) -> list[str]:
    with outsider(database) as connection:
        return [row["e164"] for row in connection.execute("SELECT e164 FROM numbers ORDER BY e164")]


# A log that begins anew is marked by a commit of its own: tests that count commits call `storage.beat()` before.
@contextmanager
def commits_counted(storage: SqliteStorage) -> Iterator[list[str]]:
    seen: list[str] = []
    storage._connection.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    yield seen
    storage._connection.set_trace_callback(None)


async def test_waiting_commands_are_committed_together(storage: SqliteStorage, database: Path) -> None:
    await storage.beat()
    blocked = await hold(storage)
    waiting = asyncio.gather(*(storage.run(add, E164(number)) for number in numbers(100)))
    await asyncio.sleep(0)
    with commits_counted(storage) as commits:
        await blocked.release()
        assert await waiting == stored(database) == numbers(100)
    assert len(commits) == 2


async def test_no_commit_exceeds_the_largest_batch(
    storage: SqliteStorage, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_BATCH", 10)
    await storage.beat()
    blocked = await hold(storage)
    waiting = asyncio.gather(*(storage.run(add, E164(number)) for number in numbers(25)))
    await asyncio.sleep(0)
    with commits_counted(storage) as commits:
        await blocked.release()
        await waiting
    assert len(commits) == 1 + 3
    assert stored(database) == numbers(25)


async def test_an_answer_comes_only_after_its_commit(storage: SqliteStorage, database: Path) -> None:
    async def visible_when_answered(number: E164) -> bool:
        await storage.run(add, number)
        return number in stored(database)

    assert all(await asyncio.gather(*(visible_when_answered(E164(number)) for number in numbers(100))))


async def test_nothing_is_visible_before_the_commit(storage: SqliteStorage, database: Path) -> None:
    written, look = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        add(tx, E164("+32255000001"))
        written.set()
        assert look.wait(10)

    task = asyncio.ensure_future(storage.run(slow))
    assert await asyncio.to_thread(written.wait, 10)
    assert stored(database) == []
    assert not task.done()
    look.set()
    await task
    assert stored(database) == ["+32255000001"]


@pytest.mark.parametrize("way", [0, 1])
async def test_a_command_that_raises_undoes_only_itself(storage: SqliteStorage, database: Path, way: int) -> None:
    run = ways_to_run(storage)[way]
    await storage.beat()
    blocked = await hold(storage)
    good, bad = numbers(20)[::2], numbers(20)[1::2]
    jobs = [
        run(step, E164(number))
        for pair in zip(good, bad, strict=True)
        for step, number in zip((add, add_and_fail), pair, strict=True)
    ]
    waiting = asyncio.gather(*jobs, return_exceptions=True)
    await asyncio.sleep(0)
    with commits_counted(storage) as commits:
        await blocked.release()
        outcomes = await waiting
    assert len(commits) == 2
    assert outcomes[::2] == stored(database) == good
    assert [type(outcome) for outcome in outcomes[1::2]] == [ZeroDivisionError] * 10


async def test_a_batch_runs_again_only_for_a_command_of_the_call_path_that_raises(storage: SqliteStorage) -> None:
    runs: list[str] = []

    def count(_: Transaction, name: str, *, fails: bool) -> None:
        runs.append(name)
        if fails:
            raise ZeroDivisionError(name)

    for way, times in enumerate((1, 2)):
        runs.clear()
        blocked = await hold(storage)
        waiting = asyncio.gather(
            storage.run_keyed("key", count, "calm", fails=False),
            *(ways_to_run(storage)[way](count, "raising", fails=True) for _ in range(10)),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
        await blocked.release()
        calm, *raising = await waiting
        assert calm is None
        assert {type(outcome) for outcome in raising} == {ZeroDivisionError}
        assert runs.count("calm") == times


async def test_only_commands_that_may_raise_cost_a_savepoint(storage: SqliteStorage) -> None:
    for way, statements in zip(ways_to_run(storage), (4, 2), strict=True):
        seen: list[str] = []
        storage._connection.set_trace_callback(seen.append)
        await way(lambda _: None)
        storage._connection.set_trace_callback(None)
        assert len(seen) == statements, seen


async def test_a_repeated_batch_wakes_the_worker_only_for_what_was_kept(storage: SqliteStorage) -> None:
    woken: list[frozenset[AccountId]] = []
    storage.when_posted(woken.append)

    def post_and_fail(tx: Transaction) -> None:
        tx.posted_for |= {AccountId("acc_1")}
        raise ZeroDivisionError

    def seen(tx: Transaction) -> frozenset[AccountId]:
        return tx.posted_for

    blocked = await hold(storage)
    before = asyncio.ensure_future(storage.run_keyed("key", seen))
    failing = asyncio.ensure_future(storage.run_keyed("key", post_and_fail))
    await asyncio.sleep(0)
    await blocked.release()
    assert await before == frozenset()
    with pytest.raises(ZeroDivisionError):
        await failing
    assert woken == []


async def test_a_command_that_raises_stopiteration_blocks_no_other(storage: SqliteStorage, database: Path) -> None:
    """A future refuses a StopIteration, so later commands of the batch would never get an answer."""

    def too_far(tx: Transaction) -> object:
        tx.numbers.insert(E164("+3225509999"), START)
        return next(iter(()))

    blocked = await hold(storage)
    failing, good = storage.run(too_far), storage.run(add, E164("+3225500001"))
    await asyncio.sleep(0)
    await blocked.release()
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await failing
        await good
    assert stored(database) == ["+3225500001"]


async def test_a_command_that_breaks_a_constraint_undoes_only_itself(storage: SqliteStorage, database: Path) -> None:
    blocked = await hold(storage)
    waiting = asyncio.gather(*(storage.run(add, E164("+32255000001")) for _ in range(5)), return_exceptions=True)
    await asyncio.sleep(0)
    await blocked.release()
    outcomes = await waiting
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, True, True, True]
    assert stored(database) == ["+32255000001"]


async def test_a_later_command_of_a_batch_sees_an_earlier_ones_writes(storage: SqliteStorage) -> None:
    blocked = await hold(storage)
    written = asyncio.ensure_future(storage.run(add, E164("+32255000001")))
    seen = asyncio.ensure_future(storage.run(lambda tx: tx.numbers.is_ours(E164("+32255000001"))))
    await asyncio.sleep(0)
    await blocked.release()
    await written
    assert await seen


async def test_a_command_cancelled_before_its_turn_writes_nothing(storage: SqliteStorage, database: Path) -> None:
    blocked = await hold(storage)
    given_up = asyncio.ensure_future(storage.run(add, E164("+32255000001")))
    other = asyncio.ensure_future(storage.run(add, E164("+32255000002")))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    await blocked.release()
    await other
    assert stored(database) == ["+32255000002"]


async def test_a_command_cancelled_during_its_batch_affects_no_other(storage: SqliteStorage, database: Path) -> None:
    first = await hold(storage)
    second = Blocked(storage)
    other = asyncio.ensure_future(storage.run(add, E164("+32255000001")))
    await asyncio.sleep(0)
    await first.release()
    await second.begun()
    second.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second.task
    second._release.set()
    assert await asyncio.wait_for(other, 10) == "+32255000001"
    assert stored(database) == ["+32255000001"]


async def test_closing_finishes_waiting_commands_and_accepts_no_more(storage: SqliteStorage, database: Path) -> None:
    blocked = await hold(storage)
    waiting = asyncio.gather(*(storage.run(add, E164(number)) for number in numbers(20)))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(storage.close())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await storage.run(add, E164("+32255999999"))
    await blocked.release()
    assert await waiting == stored(database) == numbers(20)
    await closing
    await storage.close()


async def test_a_command_is_refused_at_once_if_the_queue_is_full(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_WAITING", 3)
    storage = SqliteStorage(database)
    blocked = await hold(storage)
    waiting = asyncio.gather(*(storage.run(add, E164(number)) for number in numbers(3)))
    await asyncio.sleep(0)
    with pytest.raises(StorageBusy):
        await storage.run(add, E164("+32255999999"))
    await blocked.release()
    assert await waiting == stored(database) == numbers(3)
    assert await storage.run(add, E164("+32255999999"))
    await storage.close()


async def test_callers_on_two_event_loops_both_get_answers(storage: SqliteStorage, database: Path) -> None:
    blocked = await hold(storage)

    async def add_elsewhere() -> str:
        return await storage.run(add, E164("+32255000001"))

    elsewhere = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(add_elsewhere())))
    await asyncio.sleep(0.05)
    here = storage.run(add, E164("+32255000002"))
    await asyncio.sleep(0.05)
    await blocked.release()
    assert [await elsewhere, await here] == stored(database) == ["+32255000001", "+32255000002"]
