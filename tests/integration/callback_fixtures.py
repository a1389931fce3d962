"""Fixtures for the delivery of callbacks: an account with an outbox, a running worker, and failing storage."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.accounts import create_account
from engine.callbacks.worker import CallbackWorker
from engine.domain.ids import AccountId, BookingId
from engine.domain.pacing import Pace, PaceRules
from engine.domain.policy import DeliveryRules
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.accounts import Account
from engine.storage.errors import StorageUnavailable
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.contract.world import outsider
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.callback_sending import DEMO

BODY = '{"id": "cdr_1", "source": "+3225550101", "destination": "+3225550199"}'
# Long timeouts: on a slow machine no attempt may time out or be taken for one of a dead worker, since tests count
# attempts. Tests about timeouts set their own.
# Paces that no test but those about paces reaches.
UNPACED = PaceRules(Pace(60_000, 60_000), Pace(60_000, 60_000), Pace(60_000, 60_000))
FAST = DeliveryRules(
    workers=16,
    timeout_ms=20_000,
    waits_ms=(30, 30, 30),
    rules=DEMO,
    margin_ms=5_000,
    hold_ms=300,
    drain_ms=20_000,
    paces=UNPACED,
)
# How long a test waits for an expected event, in seconds.
PATIENCE = 60.0


@dataclass
class Outbox:
    """An account with an outbox in a database of its own."""

    path: Path
    storage: SqliteStorage
    account: Account

    async def post(self, url: str, count: int = 1) -> list[str]:
        """Put callbacks into the outbox as a call does, and return their ids."""
        ids = [new_id("evt") for _ in range(count)]
        await self.storage.run(_insert, self.account.id, url, ids)
        return ids

    def select(self, sql: str) -> list[dict[str, Any]]:
        with outsider(self.path) as database:
            found: list[dict[str, Any]] = database.execute(sql).fetchall()
        return found

    def rows(self) -> list[dict[str, Any]]:
        return self.select("SELECT * FROM outbox ORDER BY id")

    async def until(self, state: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until `count` rows are in the state, and return all rows."""
        deadline = time.monotonic() + PATIENCE
        while self._count(state) < count:
            assert time.monotonic() < deadline, self.rows()[:5]
            await asyncio.sleep(0.02)
        return self.rows()

    def _count(self, state: str) -> int:
        """Count with little work, since the worker shares this thread."""
        [found] = self.select(f"SELECT COUNT(*) AS count FROM outbox WHERE state = '{state}'")  # noqa: S608  a test's own
        return int(found["count"])


def _insert(tx: Transaction, account_id: AccountId, url: str, ids: list[str]) -> None:
    now = SystemClock().now()
    for event_id in ids:
        tx.outbox.insert(
            event_id=event_id, account_id=account_id, booking_id=BookingId("bkg_1"), url=url, body=BODY, now=now
        )


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    path = tmp_path / "outbox.sqlite3"
    await asyncio.to_thread(migrate, path)
    storage = SqliteStorage(path)
    account = await storage.run(create_account, "customer", SystemClock().now())
    yield Outbox(path, storage, account)
    await storage.close()


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def working(outbox: Outbox, config: DeliveryRules = FAST, storage: Any = None) -> AsyncIterator[CallbackWorker]:
    worker = CallbackWorker(storage or outbox.storage, SystemClock(), config)
    stop = asyncio.Event()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(stop))
        yield worker
        stop.set()


@dataclass
class FailingStorage:
    """Storage that is unavailable for the commands that `fails` chooses."""

    storage: SqliteStorage
    fails: Callable[[str], bool]
    failures: int = 0

    async def run(self, command: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.fails(command.__name__):
            self.failures += 1
            raise StorageUnavailable("on purpose")
        return await self.storage.run(command, *args, **kwargs)

    async def run_keyed(self, key: str, command: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self.run(command, *args, **kwargs)

    def when_posted(self, wake: Callable[[frozenset[AccountId]], object]) -> None:
        self.storage.when_posted(wake)

    async def close(self) -> None:
        await self.storage.close()
