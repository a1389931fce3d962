"""The console on the real API, with one server for a whole module.

Test modules load it with `pytest_plugins = ["tests.integration.web_fixtures"]` and run in the module's event loop.
"""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import SettableClock
from tests.integration.web_helpers import (
    CALL,
    ENDED_CALL,
    Console,
    call_up,
    calls_of_the_day,
    end_call,
    fill,
)
from tests.integration.web_server import served_pages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    directory = tmp_path_factory.mktemp("console")
    database = directory / "console.sqlite3"
    migrate(database)
    storage, clock = SqliteStorage(database), SettableClock()
    account_id, booking, examples = await storage.run(fill)
    async with (
        served_pages(directory, storage, clock, database) as (url, operator, log),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        console = Console(url, storage, clock, operator, log, booking, client, account_id, examples)
        await calls_of_the_day(console)
        examples["record"] = await end_call(console, ENDED_CALL)
        await call_up(console, CALL)
        yield console
    await storage.close()
