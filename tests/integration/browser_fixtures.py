"""Chromium for tests of the web pages, one for a whole module.

Test modules load it with `pytest_plugins = ["tests.integration.browser_fixtures"]` and run in the module's event loop.
"""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from tests.playwright_browser import running_browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser
