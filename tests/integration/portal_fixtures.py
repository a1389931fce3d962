"""The customer portal on the real API with a callback worker, with one server for a whole module.

Test modules load it with `pytest_plugins = ["tests.integration.portal_fixtures"]` and run in the module's event loop.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from api.app import Dependencies, RequestLimits, WebServices, build_app
from engine.bookings.number_pool import import_numbers
from engine.callbacks.ssrf import check_callback
from engine.callbacks.worker import CallbackWorker
from engine.metrics.tallies import Tallies
from engine.runtime.security_log import SecurityLog
from engine.storage.console_reads import ConsoleReads
from engine.storage.migrate import migrate
from engine.storage.reads import STATEMENT_SECONDS, Reads
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import HIDDEN, NUMBERS, OTHER_HIDDEN, PEPPER, POLICY, Asterisk, SettableClock
from tests.integration.callback_fixtures import FAST
from tests.integration.callback_sending import DEMO
from tests.integration.portal_helpers import CLOCK, Portal, a_tenant
from tests.integration.web_server import FakeCommands, FakeOperator, Served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def portal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    directory: Path = tmp_path_factory.mktemp("portal")
    database = directory / "portal.sqlite3"
    migrate(database)
    storage = SqliteStorage(database)
    await storage.run(import_numbers, list(enumerate(NUMBERS)), CLOCK.now())
    ours = await storage.run(a_tenant, "ours-mine", HIDDEN)
    theirs = await storage.run(a_tenant, "theirs-else", OTHER_HIDDEN)
    log = SecurityLog(directory / "security.log", {"Portal": ("127.0.0.1", 8080)})
    worker, stop, loop = CallbackWorker(storage, CLOCK, FAST), asyncio.Event(), asyncio.get_running_loop()
    storage.when_posted(lambda accounts: loop.call_soon_threadsafe(worker.wake, accounts))
    async with Reads(database, STATEMENT_SECONDS) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=CLOCK,
            policy=POLICY,
            pepper=PEPPER,
            check_callback=lambda url: check_callback(url, DEMO),
            hang_up=Asterisk().hang_up,
            renewed=lambda _: None,
            health=lambda: {"database": "up"},
            last_commit=lambda: None,
            key_used=lambda _: None,
            refused=log.refused,
            limits=RequestLimits(requests_per_minute=10**6, request_seconds=30.0, test_event_seconds=20.0),
        )
        services = WebServices(
            reads=ConsoleReads(database, STATEMENT_SECONDS),
            operator=FakeOperator(storage, SettableClock()),  # type: ignore[arg-type]
            security_log=log,
            commands=FakeCommands(),
            tallies=Tallies([]),
            url="http://127.0.0.1:8080",
        )
        app = build_app(deps, services)
        server = Served(app)
        await server.start_server()
        working = asyncio.create_task(worker.run(stop))
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            url = str(server.make_url("")).rstrip("/")
            yield Portal(url, storage, log, client, app, ours, theirs)
        stop.set()
        await working
        await server.close()
    await storage.close()
