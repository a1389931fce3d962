"""Runs Debian's headless Chromium with Playwright, and records what pages did. It reaches this machine only."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.browser import FRUGAL, OFFLINE, PROGRAM

AXE = Path(__file__).parent / "vendor" / "axe" / "axe.min.js"


@dataclass
class Watched:
    """A page, and what it did: hosts that it asked, and the browser's own complaints."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    async def violations(self) -> list[str]:
        """Returns what axe-core finds wrong, also what it merely suspects of contrast."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(done => done.violations.map("
            "each => [each.id, each.nodes.map(node => node.html.slice(0, 200))]))"
        )
        return [json.dumps(each) for each in found]


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Yields one browser for many pages."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=[*OFFLINE, *FRUGAL])
        yield browser
        await browser.close()


@asynccontextmanager
async def watched_page(browser: Browser, *, cookie: tuple[str, str, str] | None = None) -> AsyncIterator[Watched]:
    """Yields a new page of a browser with its own cookies. `cookie`: its name, value and URL."""
    # Without motion, colours are what they will be at once.
    context = await browser.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-GB", reduced_motion="reduce"
    )
    if cookie is not None:
        name, value, url = cookie
        await context.add_cookies([{"name": name, "value": value, "url": url}])
    page = await context.new_page()
    watched = Watched(page)

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            watched.complaints.append(f"{message.text} {message.location}")

    page.on("console", complain)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).netloc))
    yield watched
    await context.close()
