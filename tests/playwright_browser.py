"""Runs Debian's headless Chromium with Playwright, and records what pages did. It reaches this machine only."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from api.web.frame.site import Site
from tests.browser import FRUGAL, OFFLINE, PROGRAM

AXE = Path(__file__).parent / "vendor" / "axe" / "axe.min.js"
# What a keyboard must reach, and how the browser tells where it is.
REACHABLE = """() => {
  const isShown = (each) => each.checkVisibility({ visibilityProperty: true })
    && !each.closest('details:not([open]) > :not(summary)');
  const all = 'a[href], button, input:not([type=hidden]), summary, select, textarea, [tabindex="0"]';
  return [...document.querySelectorAll(all)].filter(isShown).length;
}"""
FOCUSED = """() => {
  const each = document.activeElement, style = getComputedStyle(each);
  window.reached = (window.reached ?? new Set()).add(each); // an attribute would be lost when a part is read again
  const isSeen = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
  return [each.outerHTML.slice(0, 120), isSeen, window.reached.size];
}"""

# What a person would have to scroll sideways for: all that ends beyond the window. Lines of a shell may do so, and what
# only screen readers and the keyboard find.
OFF_SCREEN = """() => [...document.querySelectorAll('body *')].filter(each => {
  const { left, right, width } = each.getBoundingClientRect();
  return width > 0 && (right > innerWidth + 1 || left < -1) && !each.closest('pre, thead, .skip');
}).map(each => each.outerHTML.slice(0, 120))"""


class View(NamedTuple):
    """How a page is looked at."""

    scheme: Literal["light", "dark"]
    width: int


# Of a field for a date and a time: the keyboard stops at each, and at its button.
FIELDS_OF_A_TIME = 6
# Views below this width must not need sideways scrolling, in no part of a page.
NARROW = 400
# The first and the last are as different as can be.
VIEWS = (View("light", 1280), View("light", 390), View("dark", 1280), View("dark", 390))


async def nothing(_: View) -> None:
    """Does nothing with a view."""


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

    async def off_screen(self) -> list[str]:
        """Returns what is beyond the window, also within a part that scrolls, with all that can be unfolded open."""
        await self.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        found: list[str] = await self.page.evaluate(OFF_SCREEN)
        return found

    async def check(
        self, url: str, look: Callable[[View], Awaitable[None]] = nothing, views: Sequence[View] = VIEWS
    ) -> None:
        """Checks the open page: accessible, no wider than the window, by keyboard alone, from its own server alone.

        Args:
            url: The server's URL.
            look: Called with each view, while the page shows it.
            views: How to look at it.
        """
        for view in views:
            await self.page.emulate_media(color_scheme=view.scheme)
            await self.page.set_viewport_size({"width": view.width, "height": 800})
            assert (await self.violations(), view) == ([], view)
            assert await self.page.evaluate("document.documentElement.scrollWidth") <= view.width
            assert (await self.off_screen() if view.width < NARROW else [], view) == ([], view)
            await look(view)
        wanted = await self.page.evaluate(REACHABLE)
        await self.page.evaluate("document.activeElement.blur()")
        reached, fields = 0, await self.page.locator("[type=time], [type=datetime-local]").count()
        for _ in range(wanted + fields * FIELDS_OF_A_TIME):
            await self.page.keyboard.press("Tab")
            html, is_seen, reached = await self.page.evaluate(FOCUSED)
            assert is_seen, html
            if reached == wanted:
                break
        assert reached == wanted
        assert self.hosts == {urlsplit(url).netloc}
        assert self.complaints == []


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


def signed_in_page(browser: Browser, site: Site, url: str, secret: str) -> AbstractAsyncContextManager[Watched]:
    """Opens a page with the cookie of a site's session. `url`: the server's."""
    return watched_page(browser, cookie=(site.cookie, secret, url + site.prefix))
