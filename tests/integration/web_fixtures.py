"""The console on the real API, with one server for a whole module.

Test modules load it with `pytest_plugins = ["tests.integration.web_fixtures"]` and run in the module's event loop.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from api.app import Dependencies, RequestLimits, WebServices, build_app
from engine.metrics.tallies import Tallies
from engine.runtime.security_log import SecurityLog
from engine.storage.console_reads import ConsoleReads
from engine.storage.migrate import migrate
from engine.storage.reads import STATEMENT_SECONDS, Reads
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import PEPPER, POLICY, SettableClock, check_callback
from tests.integration.web_helpers import CALL, Console, FakeCommands, FakeOperator, Served, call_up, fill


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    directory: Path = tmp_path_factory.mktemp("console")
    database = directory / "console.sqlite3"
    migrate(database)
    storage, clock, operator = SqliteStorage(database), SettableClock(), FakeOperator()
    account_id, booking = await storage.run(fill)
    log = SecurityLog(directory / "security.log", {"Console": ("127.0.0.1", 8080)})
    async with Reads(database, STATEMENT_SECONDS) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=clock,
            policy=POLICY,
            pepper=PEPPER,
            check_callback=check_callback,
            hang_up=lambda _: None,  # type: ignore[arg-type, return-value]
            renewed=lambda _: None,
            health=lambda: {"database": "up", "ami": "connecting", "asterisk": "down"},
            last_commit=lambda: None,
            key_used=lambda _: None,
            refused=log.refused,
            limits=RequestLimits(),
            trunks=lambda: {"main": "up", "spare": "down"},
        )
        services = WebServices(
            reads=ConsoleReads(database, STATEMENT_SECONDS),
            operator=operator,  # type: ignore[arg-type]
            security_log=log,
            commands=FakeCommands(),
            tallies=Tallies(["main", "spare"]),
            url="http://127.0.0.1:8080",
        )
        app = build_app(deps, services)
        server = Served(app)
        await server.start_server()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            url = str(server.make_url("")).rstrip("/")
            made = Console(url, storage, clock, operator, log, booking, client, account_id, app)
            await call_up(made, CALL)
            yield made
        await server.close()
    await storage.close()
