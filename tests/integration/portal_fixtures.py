"""The customer portal on the real API with a callback worker, with one server for a whole module.

Test modules load it with `pytest_plugins = ["tests.integration.portal_fixtures"]` and run in the module's event loop.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from api.app import RequestLimits
from engine.bookings.number_pool import import_numbers
from engine.callbacks.ssrf import check_callback
from engine.callbacks.worker import CallbackWorker
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import HIDDEN, NUMBERS, OTHER_HIDDEN
from tests.integration.callback_fixtures import FAST
from tests.integration.callback_sending import DEMO
from tests.integration.portal_helpers import CLOCK, Portal, a_tenant
from tests.integration.web_server import served_pages

LIMITS = RequestLimits(requests_per_minute=10**6, request_seconds=30.0, test_event_seconds=20.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def portal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    directory: Path = tmp_path_factory.mktemp("portal")
    database = directory / "portal.sqlite3"
    migrate(database)
    storage = SqliteStorage(database)
    await storage.run(import_numbers, list(enumerate(NUMBERS)), CLOCK.now())
    ours = await storage.run(a_tenant, "ours-mine", HIDDEN)
    theirs = await storage.run(a_tenant, "theirs-else", OTHER_HIDDEN)
    worker, stop, loop = CallbackWorker(storage, CLOCK, FAST), asyncio.Event(), asyncio.get_running_loop()
    storage.when_posted(lambda accounts: loop.call_soon_threadsafe(worker.wake, accounts))
    changes = {"check_callback": lambda url: check_callback(url, DEMO), "limits": LIMITS}
    async with (
        served_pages(directory, storage, CLOCK, database, **changes) as served,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        working = asyncio.create_task(worker.run(stop))
        yield Portal(served.url, storage, served.log, client, ours, theirs)
        stop.set()
        await working
    await storage.close()
