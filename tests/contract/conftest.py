"""Provides a storage over a freshly migrated database, for each kind of database that the product runs on.

Each test runs on both, unless it is about one of them: `@pytest.mark.sqlite_only`.
"""

import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from engine.config.postgres_address import PostgresAddress
from engine.domain.notifications import EventType
from engine.storage.database import Database
from engine.storage.interface import EngineStorage
from engine.storage.postgresql import server, worker
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.sqlite import SqliteStorage
from tests.contract.notifying import EVENT_POLICY, choose
from tests.contract.pairing import Phone
from tests.contract.racing import PATIENCE_SECONDS, ApartStorage, Race, without_locks
from tests.contract.samples import POLICY
from tests.contract.world import World
from tests.postgresql import empty, template_database
from tests.postgresql_server import database_named, postgres_server

KINDS = ("sqlite", "postgresql")
# Fewer than an engine has: each test connects anew.
CONNECTIONS = 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        is_for_one = metafunc.definition.get_closest_marker("sqlite_only") is not None
        metafunc.parametrize("kind", KINDS[:1] if is_for_one else KINDS, scope="session")


@pytest.fixture(scope="session")
def template() -> Path:
    """A SQLite database that is migrated once and copied for each test."""
    return template_database()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresAddress]:
    """A migrated database on a server of the session's own."""
    with postgres_server() as address:
        database = database_named(address, "contract")
        server.migrate(database)
        yield database


@pytest.fixture
def database(kind: str, template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Database:
    if kind == "sqlite":
        return Path(shutil.copy(template, tmp_path / "rented-numbers.sqlite3"))
    address: PostgresAddress = request.getfixturevalue("postgres")
    empty(address)
    return address


@pytest.fixture
async def storage(database: Database) -> AsyncIterator[EngineStorage]:
    storage: EngineStorage
    if isinstance(database, PostgresAddress):
        storage = PostgresStorage(database, CONNECTIONS, command_seconds=30.0)
    else:
        storage = SqliteStorage(database)
    yield storage
    await storage.close()


@pytest.fixture
async def world(storage: EngineStorage, database: Database) -> AsyncIterator[World]:
    """The test's own set-up; after the test its ledger is checked."""
    world = await World.begin(storage, database)
    yield world
    world.check_ledger()


@pytest.fixture
def phone(world: World) -> Phone:
    """A telephone whose caller can be asked for a PIN."""
    world.policy = replace(world.policy, speaks=True)
    return Phone(world, count())


@pytest.fixture
async def shared(postgres: PostgresAddress) -> AsyncIterator[World]:
    """A set-up on PostgreSQL for several engines."""
    empty(postgres)
    storage = PostgresStorage(postgres, CONNECTIONS)
    yield await World.begin(storage, postgres)
    await storage.close()


@pytest.fixture
def lenient(world: World) -> World:
    """A set-up in which one call may last four hours."""
    world.policy = replace(world.policy, longest_call_seconds=4 * 3_600)
    return world


@pytest.fixture
async def all_events(world: World) -> World:
    """A set-up whose account has chosen every event; bookings have ten minutes and last a week."""
    world.policy = EVENT_POLICY
    await choose(world, *EventType)
    return world


@pytest.fixture
def outside(postgres: PostgresAddress) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the server that the product does not know."""
    with closing(psycopg.connect(postgres, autocommit=True)) as connection:
        yield connection


@pytest.fixture(params=(True, False), ids=("with locks", "without"))
async def race(
    request: pytest.FixtureRequest, postgres: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Race]:
    reached, go_on = threading.Event(), threading.Event()

    def hit(name: str) -> None:
        if name == "the_first before commit":
            reached.set()
            assert go_on.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(worker, "failpoints", SimpleNamespace(ARMED=True, hit=hit))
    empty(postgres)
    storage, other = PostgresStorage(postgres, CONNECTIONS, command_seconds=30.0), ApartStorage(postgres)
    if not request.param:
        for each in (*storage._workers, *other.storage._workers):
            each._sql = without_locks()
    world = await World.begin(storage, postgres)
    world.policy = replace(POLICY, longest_call_seconds=3_600)
    yield Race(world, other, postgres, reached, go_on, request.param)
    await other.close()
    await storage.close()
