"""The console in real Chromium: every page of the registry, narrow and wide, dark and light, by keyboard alone."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from api.web.frame.site import Page
from engine.domain.ids import CallId
from engine.domain.web_access import Role
from tests.integration.api_helpers import HIDDEN
from tests.integration.web_helpers import CALL, SITE, Console, call_up, path_of
from tests.playwright_browser import View, Watched, signed_in_page, watched_page

pytest_plugins = ["tests.integration.web_fixtures", "tests.integration.browser_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

# CONSOLE_PICTURES=1 renews the pictures of the documents.
PICTURES = Path(__file__).parents[2] / "docs" / "images" if os.environ.get("CONSOLE_PICTURES") else None
PICTURED = {"": "console-today.png", "/live": "console-live.png", "/system": "console-system.png"}


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(console: Console, browser: Browser) -> AsyncIterator[Watched]:
    secret = (await console.session(Role.ADMIN)).secret
    async with signed_in_page(browser, SITE, console.url, secret) as watched:
        yield watched


@pytest.mark.parametrize("page", SITE.pages, ids=lambda page: page.title)
async def test_every_page_is_accessible_complete_and_offline(console: Console, signed_in: Watched, page: Page) -> None:
    tab = signed_in.page
    await tab.goto(console.url + path_of(SITE, page).format_map(console.examples))
    assert await tab.title() == f"{page.title} · Rented numbers"
    if page.path == "/live":
        await tab.wait_for_selector(f'[aria-label="Hang up call {CALL}"]')

    async def take_picture(view: View) -> None:
        if PICTURES and page.path in PICTURED and view == View("light", 1280):
            await tab.set_viewport_size({"width": view.width, "height": 300})  # no taller than what it shows
            await tab.screenshot(path=PICTURES / PICTURED[page.path], scale="css", full_page=True)

    await signed_in.check(console.url, take_picture)


async def test_a_call_is_followed_shown_and_ended_by_keyboard_from_the_link_on(
    console: Console, browser: Browser
) -> None:
    async with watched_page(browser) as watched:
        tab = watched.page
        await tab.goto(f"{console.url}/console/sign-in#used-already")
        await tab.wait_for_function("document.activeElement.id === 'sign-in'")
        # A link that is pasted into the page changes only what is behind the #.
        await tab.goto(f"{console.url}/console/sign-in#{await console.link()}")
        await tab.wait_for_function("document.getElementById('code').value.length === 43")
        await tab.get_by_role("button", name="Sign in").focus()
        assert "#" not in tab.url
        await tab.keyboard.press("Enter")
        await tab.wait_for_url(f"{console.url}/console")
        await tab.get_by_role("link", name="Live calls").focus()
        await tab.keyboard.press("Enter")
        left = tab.locator(f'tr:has([aria-label="Hang up call {CALL}"]) [data-until]')
        await left.wait_for()
        before = await left.inner_text()
        await tab.wait_for_function("(text) => document.querySelector('[data-until]').textContent !== text", arg=before)
        await call_up(console, CallId(f"{CALL}3"), answered=False, source="+14155550177")
        await tab.get_by_text("+14155550177").wait_for()
        assert HIDDEN not in await tab.content()
        await tab.get_by_label(f"Show the hidden number of call {CALL}", exact=True).focus()
        await tab.keyboard.press("Enter")
        await tab.get_by_text(HIDDEN).wait_for()
        tab.on("dialog", lambda dialog: dialog.accept())
        await tab.get_by_label(f"Hang up call {CALL}", exact=True).focus()
        await tab.keyboard.press("Enter")
        await tab.get_by_text("The call was ended.").wait_for()
        assert console.operator.hung_up == [CALL]
        await tab.get_by_role("button", name="Sign out").focus()
        await tab.keyboard.press("Enter")
        await tab.wait_for_url(f"{console.url}/console/sign-in")
        assert await watched.violations() == []
        assert watched.complaints == []


async def test_a_viewer_is_not_offered_what_the_role_does_not_permit(console: Console, browser: Browser) -> None:
    secret = (await console.session(Role.VIEWER)).secret
    async with signed_in_page(browser, SITE, console.url, secret) as watched:
        await watched.page.goto(f"{console.url}/console/live")
        button: Any = watched.page.get_by_label(f"Hang up call {CALL}", exact=True)
        await button.wait_for(state="attached")
        assert not await button.is_visible()
        assert await watched.page.get_by_role("link", name="Security log").count() == 0


async def test_the_map_is_red_where_doctor_is_and_a_page_refreshes_itself(
    console: Console, signed_in: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in.page.goto(f"{console.url}/console/system")
    red = signed_in.page.locator(".map .is-failed h3")
    assert await red.all_inner_texts() == ["engine failed"]
    await signed_in.page.evaluate(
        "htmx.trigger('#live', 'refresh'), htmx.ajax('GET', location.pathname, {source: '#live'})"
    )
    await red.wait_for()
    assert signed_in.complaints == []


PLANTED = """document.querySelector('main').insertAdjacentHTML('beforeend',
  '<p style="font-size: 1px">text</p><img src="http://192.0.2.1/x.png"><input class="no-label">'
  + '<div class="scrolling"><code>' + 'Revoke'.repeat(20) + '</code></div>')"""


async def test_the_checks_find_what_was_planted(console: Console, signed_in: Watched) -> None:
    """An inline style, a picture of another host without a text, a field without a label, a word beyond the window."""
    await signed_in.page.goto(f"{console.url}/console/trunks")
    await signed_in.page.set_viewport_size({"width": 390, "height": 800})
    await signed_in.page.evaluate(PLANTED)
    found = " ".join(await signed_in.violations())
    assert all(each in found for each in ('"image-alt"', '"label"'))
    [off_screen] = await signed_in.off_screen()
    assert "RevokeRevoke" in off_screen
    complaints = " ".join(signed_in.complaints)
    assert all(each in complaints for each in ("inline style", "192.0.2.1"))


async def test_a_form_says_what_is_wrong_beside_its_field_and_then_what_was_done(
    console: Console, signed_in: Watched
) -> None:
    tab = signed_in.page
    await tab.goto(f"{console.url}/console/bookings/{console.examples['booking']}")
    await tab.get_by_text("Adjust", exact=True).first.click()
    await tab.get_by_label("Seconds to add").fill("many")
    await tab.get_by_label("Reason").fill("a complaint")
    await tab.keyboard.press("Enter")
    await tab.get_by_text("Must be a whole number.").wait_for()
    seconds = tab.get_by_label("Seconds to add")
    assert await seconds.get_attribute("aria-invalid") == "true"
    assert await tab.evaluate("document.activeElement.textContent") == "The form is not valid"
    assert await signed_in.violations() == []
    signed_in.complaints.clear()  # the browser notes the status 422
    await seconds.fill("60")
    await tab.get_by_label("Reason").press("Enter")
    await tab.get_by_text("Adjusted by +60 seconds and +0 calls.").wait_for()
    await tab.get_by_text("a complaint").wait_for()
    assert tab.url.endswith(console.examples["booking"])
    assert signed_in.complaints == []
