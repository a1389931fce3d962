"""The real API on loopback over a real SQLite file; only the clock, Asterisk and the callback check are stand-ins.

Test modules load it with `pytest_plugins = ["tests.integration.api_fixtures"]`.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.app import Dependencies, Limits, build_app
from engine.accounts import create_account, create_key, import_numbers
from engine.storage.migrate import migrate
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import (
    NUMBERS,
    PEPPER,
    POLICY,
    START,
    Api,
    Asterisk,
    Health,
    SettableClock,
    check_callback,
)


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, copied by each test: migrating takes longer than most of them."""
    path = tmp_path_factory.mktemp("api") / "migrated.sqlite3"
    migrate(path)
    return path


@pytest.fixture
def api_limits() -> Limits:
    """Overridden by modules that wait for a limit."""
    return Limits()


@pytest.fixture
async def api(tmp_path: Path, migrated_database: Path, aiohttp_client: Any, api_limits: Limits) -> AsyncIterator[Api]:
    database = tmp_path / "api.sqlite3"
    shutil.copy(migrated_database, database)
    storage = SqliteStorage(database)
    clock, asterisk, health = SettableClock(), Asterisk(), Health()
    keys = {}
    for name in ("ours", "theirs"):
        await storage.run(create_account, name, START)
        keys[name] = (await storage.run(create_key, name, PEPPER, START)).secret
    await storage.run(import_numbers, list(enumerate(NUMBERS)), START)
    async with Reads(database) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=clock,
            policy=POLICY,
            pepper=PEPPER,
            check_callback=check_callback,
            hang_up=asterisk.hang_up,
            health=health,
            limits=api_limits,
        )
        client = await aiohttp_client(build_app(deps))
        yield Api(client, storage, reads, clock, asterisk, health, keys)
        await client.close()
    await storage.close()
