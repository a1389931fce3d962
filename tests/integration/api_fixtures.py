"""The real API on loopback over a real SQLite file; only the clock, Asterisk and the callback check are fakes.

Test modules load it with `pytest_plugins = ["tests.integration.api_fixtures"]`.
"""

import shutil
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from api.app import Dependencies, RequestLimits, build_app
from api.http.server import build_runner
from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key
from engine.bookings.number_pool import import_numbers
from engine.domain.policy import Policy
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
    TESTED,
    THEIRS_TESTED,
    Api,
    Asterisk,
    Health,
    SettableClock,
    check_callback,
)


class ProductionServer(TestServer):
    """aiohttp's test server with the runner that the API has in production."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return build_runner(self.app, shutdown_seconds=1.0)


@pytest.fixture(scope="session")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Two accounts with sandboxes, and ten numbers, and the API keys. Made once; each test gets a copy."""
    path = tmp_path_factory.mktemp("api") / "filled.sqlite3"
    migrate(path)
    connection = connect(path)
    tx = Transaction(queries.load("sqlite3"), connection)
    keys = {}
    for name in ("ours", "theirs"):
        create_account(tx, name, START)
        keys[name] = create_key(tx, name, PEPPER, START).secret
    for name, world in (("ours", TESTED), ("theirs", THEIRS_TESTED)):
        keys[world] = create_key(tx, name, PEPPER, START, test=True).secret
    import_numbers(tx, list(enumerate(NUMBERS)), START)
    connection.close()
    return path, keys


@pytest.fixture
def api_limits() -> RequestLimits:
    """The limits of the API, without a rate limit and without a wait for a worker that most modules do not have."""
    return RequestLimits(requests_per_minute=10**6, test_event_seconds=0.0)


@pytest.fixture
def api_policy() -> Policy:
    """The operator's rules. Modules that test a limit of accounts override it."""
    return POLICY


@pytest.fixture
async def api(
    tmp_path: Path,
    filled_database: tuple[Path, dict[str, str]],
    aiohttp_client: Any,
    api_limits: RequestLimits,
    api_policy: Policy,
) -> AsyncIterator[Api]:
    template, keys = filled_database
    database = tmp_path / "api.sqlite3"
    shutil.copy(template, database)
    storage = SqliteStorage(database)
    clock, asterisk, health = SettableClock(), Asterisk(), Health()
    keys_used: list[str] = []
    refusals: list[tuple[str, str, str]] = []
    async with Reads(database) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=clock,
            policy=api_policy,
            pepper=PEPPER,
            check_callback=check_callback,
            hang_up=asterisk.hang_up,
            renewed=asterisk.renewed.append,
            health=health,
            last_commit=lambda: health.last_commit,
            key_used=keys_used.append,
            refused=lambda *refusal: refusals.append(refusal),
            proxies=(ip_network("127.0.0.9"),),
            limits=api_limits,
        )
        client = await aiohttp_client(ProductionServer(build_app(deps)))
        yield Api(client, storage, reads, clock, asterisk, health, dict(keys), keys_used, refusals)
        await client.close()
    await storage.close()
