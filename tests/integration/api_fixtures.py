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
from engine.storage import queries
from engine.storage.migrate import migrate
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage, connect
from engine.storage.transaction import Transaction
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
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Two accounts and ten numbers; with each account's key. Made once, copied by each test."""
    path = tmp_path_factory.mktemp("api") / "filled.sqlite3"
    migrate(path)
    connection = connect(path)
    tx = Transaction(queries.load("sqlite3"), connection)
    keys = {}
    for name in ("ours", "theirs"):
        create_account(tx, name, START)
        keys[name] = create_key(tx, name, PEPPER, START).secret
    import_numbers(tx, enumerate(NUMBERS), START)
    connection.close()
    return path, keys


@pytest.fixture
def api_limits() -> Limits:
    """Overridden by modules that wait for a limit."""
    return Limits()


@pytest.fixture
async def api(
    tmp_path: Path, filled_database: tuple[Path, dict[str, str]], aiohttp_client: Any, api_limits: Limits
) -> AsyncIterator[Api]:
    template, keys = filled_database
    database = tmp_path / "api.sqlite3"
    shutil.copy(template, database)
    storage = SqliteStorage(database)
    clock, asterisk, health = SettableClock(), Asterisk(), Health()
    async with Reads(database) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=clock,
            policy=POLICY,
            pepper=PEPPER,
            check_callback=check_callback,
            hang_up=asterisk.hang_up,
            renewed=asterisk.renewed.append,
            health=health,
            limits=api_limits,
        )
        client = await aiohttp_client(build_app(deps))
        yield Api(client, storage, reads, clock, asterisk, health, keys)
        await client.close()
    await storage.close()
