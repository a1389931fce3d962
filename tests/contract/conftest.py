"""Provides a storage over a freshly migrated database for each storage engine of the product."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.notifications import EventType
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.contract.notifying import EVENT_POLICY, choose
from tests.contract.world import World

ENGINES = ("sqlite",)


@pytest.fixture(scope="session", params=ENGINES)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is migrated once and copied for each test."""
    assert request.param == "sqlite"
    path = tmp_path_factory.mktemp("template") / "empty.sqlite3"
    migrate(path)
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "rented-numbers.sqlite3"))


@pytest.fixture
async def storage(database: Path) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(database)
    yield storage
    await storage.close()


@pytest.fixture
async def world(storage: SqliteStorage, database: Path) -> AsyncIterator[World]:
    """The test's own set-up; after the test its ledger is checked."""
    world = await World.begin(storage, database)
    yield world
    world.check_ledger()


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
