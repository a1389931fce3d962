"""The customer portal in real Chromium: from a link to a verified test event, in a frame, and every page's quality."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route
from playwright.async_api import Page as Tab
from standardwebhooks import Webhook

from api.web.frame.site import Page
from api.web.portal.deliveries import REFRESH_SECONDS
from engine.domain.web_access import Role
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.portal_helpers import SITE, Portal, a_tenant, path_of, share_number
from tests.playwright_browser import VIEWS, Watched, signed_in_page, watched_page

pytest_plugins = ["tests.integration.portal_fixtures", "tests.integration.browser_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SHARED = "+3225550099"
NAMED, OTHER = "https://www.customer.example", "https://www.attacker.example"


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(portal: Portal, browser: Browser) -> AsyncIterator[Watched]:
    secret = (await portal.session()).secret
    async with signed_in_page(browser, SITE, portal.url, secret) as watched:
        yield watched


async def link(portal: Portal) -> str:
    headers = {"Authorization": f"Bearer {portal.ours.key}"}
    async with portal.client.post(f"{portal.url}/portal-links", json={"scope": "full"}, headers=headers) as answer:
        url: str = (await answer.json())["url"]
        return url


@pytest.mark.parametrize("page", SITE.pages, ids=lambda page: page.title)
async def test_every_page_is_accessible_complete_and_offline(portal: Portal, signed_in: Watched, page: Page) -> None:
    tab = signed_in.page
    await tab.goto(portal.url + path_of(page, portal.ours.ids))
    assert (await tab.title()).endswith(" · Your numbers")
    await tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    await signed_in.check(portal.url, views=(VIEWS[0], VIEWS[-1]))


async def test_from_a_portal_link_to_a_verified_test_event_by_keyboard(portal: Portal, browser: Browser) -> None:
    async with CallbackReceiver() as receiver, watched_page(browser) as watched:
        # Slower than the log is read again: its new line changes while somebody looks at it.
        receiver.answer_with(Answer(200, body=b"<b>thanks</b>", delay=REFRESH_SECONDS + 1))
        tab = watched.page
        await tab.goto(await link(portal))
        await tab.wait_for_function("document.activeElement.id === 'sign-in'")
        assert "#" not in tab.url
        await tab.keyboard.press("Enter")
        await tab.wait_for_url(f"{portal.url}/portal")
        await tab.get_by_role("link", name="Deliveries").focus()
        await tab.keyboard.press("Enter")
        await tab.get_by_label("URL of your receiver").fill(receiver.url)
        await tab.keyboard.press("Enter")
        newest = tab.get_by_role("region", name="Deliveries").get_by_role("row").nth(1)
        await newest.get_by_text("pending").wait_for()
        await tab.locator("#test-result").get_by_text("delivered").wait_for()
        await newest.get_by_text("delivered").wait_for(timeout=1_000 * REFRESH_SECONDS / 2)
        assert await tab.get_by_text("<b>thanks</b>").count() == 1, "an answer is shown as text"
        program = await tab.locator("#test-result .snippet").text_content() or ""
        shown = await tab.locator("#test-result").inner_text()
        assert await watched.violations() == []
        await tab.locator("#test-result").get_by_role("link", name="your secret").focus()
        await tab.keyboard.press("Enter")
        await tab.get_by_role("button", name="Show the secret").focus()
        await tab.keyboard.press("Enter")
        secret = await tab.locator("#secret .new-secret").text_content() or ""
        assert watched.complaints == []
    [request] = receiver.requests
    event: Any = Webhook(secret).verify(request.body, dict(request.headers))
    assert event["type"] == "callback.test"
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert f"{name}: {request.headers[name]}" in shown, "what is shown is what was sent"
    assert [run(program, each) for each in (secret, "whsec_" + "A" * 43 + "=")] == ["True", "False"]


async def test_what_an_action_did_is_on_its_page_at_once(portal: Portal, browser: Browser) -> None:
    tenant = await portal.storage.run(a_tenant, "acts-here", "+33612345681")
    secret = (await portal.session(of=tenant)).secret
    async with signed_in_page(browser, SITE, portal.url, secret) as watched:
        tab = watched.page
        at_once = 2_500.0  # long before an open page reads its data again
        await tab.goto(f"{portal.url}/portal/keys")
        await tab.get_by_role("button", name="Make a key").click()
        await tab.get_by_role("button", name="Revoke").nth(1).wait_for(timeout=at_once)
        await tab.goto(f"{portal.url}/portal/deliveries")
        await tab.get_by_role("button", name="Enable it").click()
        await tab.get_by_text("Disabled since").wait_for(state="detached", timeout=at_once)
        await tab.goto(f"{portal.url}/portal/bookings/{tenant.booking.id}")
        await tab.get_by_text("Change", exact=True).first.click()
        await tab.get_by_label("Hidden number", exact=True).fill("+33612345999")
        await tab.get_by_role("button", name="Change", exact=True).click()
        await tab.locator("#live").get_by_text("+33612345999").wait_for(timeout=at_once)
        await tab.get_by_text("Cancel for good").click()
        await tab.get_by_role("checkbox", name="I know that the number is lost").check()
        await tab.get_by_role("button", name="Cancel the booking").click()
        await tab.locator("#live").get_by_text("active").wait_for(state="detached", timeout=at_once)
        assert "Cancelled." in await tab.locator("#message").inner_text(), "and not that it cannot be found"
        assert watched.complaints == []


async def press(tab: Tab, role: Literal["button", "checkbox"], name: str, key: str = "Enter") -> None:
    await tab.get_by_role(role, name=name, exact=True).last.press(key)


async def test_a_number_is_booked_and_its_hours_are_changed_by_keyboard_on_a_telephones_screen(
    portal: Portal, browser: Browser
) -> None:
    tenant = await portal.storage.run(a_tenant, "books-here", "+33612345683")
    secret = (await portal.session(of=tenant)).secret
    async with signed_in_page(browser, SITE, portal.url, secret) as watched:
        tab = watched.page
        await tab.set_viewport_size({"width": 390, "height": 800})
        await tab.goto(f"{portal.url}/portal")
        await tab.get_by_text("Book a number", exact=True).press("Enter")
        await tab.get_by_label("Callbacks go to").first.fill("https://books.example/calls")
        await tab.get_by_role("button", name="Add a time").first.press("Enter")
        assert await tab.evaluate("document.activeElement.type") == "checkbox", "the keyboard goes on in the new row"
        assert await tab.get_by_label("Time zone of these times").first.input_value() != "", "the browser's"
        for day in ("Mon", "Fri"):
            await press(tab, "checkbox", day, "Space")
        await tab.get_by_label("from", exact=True).fill("09:00")
        await tab.get_by_label("to", exact=True).fill("00:00")
        await check_refused(watched, "Hidden number", "+32", "Book")
        await tab.get_by_label("Hidden number", exact=True).fill("+32470999998")
        await tab.get_by_label("Hidden number", exact=True).press("Enter")
        await tab.get_by_role("link", name="The booking of").press("Enter")
        await tab.get_by_text("mon, fri 09:00\N{EN DASH}24:00").wait_for()
        await tab.get_by_text("Change", exact=True).first.press("Enter")
        await press(tab, "button", "Add a time")
        await press(tab, "checkbox", "Sat", "Space")
        await tab.get_by_label("from", exact=True).last.fill("12:00")
        await check_refused(watched, "to", "", "Change")
        await tab.get_by_label("to", exact=True).last.fill("13:30")
        await tab.get_by_label("Language of what is spoken in calls").select_option("nl")
        await press(tab, "button", "Change")
        await tab.get_by_text("mon, fri 09:00\N{EN DASH}24:00; sat 12:00\N{EN DASH}13:30").wait_for()
        await tab.get_by_text("Dutch").first.wait_for()
        await tab.get_by_text("Change", exact=True).first.press("Enter")
        for _ in range(2):
            await press(tab, "button", "Remove")
        await press(tab, "button", "Change")
        await tab.locator("#live").get_by_text("Takes calls").wait_for(state="detached")
        await tab.locator("#live").get_by_text("hear that the owner has changed").wait_for()
        await tab.get_by_text("Change", exact=True).first.press("Enter")
        await tab.get_by_label("Callers of a former owner").select_option("yes")
        await press(tab, "button", "Change")
        await tab.locator("#live").get_by_text("are put through", exact=True).wait_for()
        assert watched.complaints == []


async def test_two_people_get_a_number_on_a_telephones_screen(portal: Portal, browser: Browser) -> None:
    await share_number(portal, SHARED)
    tenant = await portal.storage.run(a_tenant, "books-for-two", "+33612345684")
    secret = (await portal.session(of=tenant)).secret
    async with signed_in_page(browser, SITE, portal.url, secret) as watched:
        tab = watched.page
        await tab.set_viewport_size({"width": 390, "height": 800})
        await tab.goto(f"{portal.url}/portal")
        await tab.get_by_text("Book a number for two people").press("Enter")
        await tab.get_by_label("Number of one person").fill("+32470999998")
        await tab.get_by_label("Name of this person").fill("Ann")
        await tab.get_by_label("Callbacks go to").last.fill("https://books.example/calls")
        await check_refused(watched, "Number of the other person", "+32470999998", "Book for two")
        await tab.get_by_label("Number of the other person").fill("+32470999997")
        await tab.get_by_label("Name of the other person").fill("Bob")
        await tab.get_by_label("Name of the other person").press("Enter")
        await tab.get_by_role("link", name=f"The booking of {SHARED}").press("Enter")
        await tab.get_by_text("+32470999998 (Ann) and +32470999997 (Bob), which reach each other").wait_for()
        await watched.check(portal.url, views=(VIEWS[0], VIEWS[-1]))
        await tab.goto(f"{portal.url}/portal")
        await tab.get_by_text("+32470999998 (Ann), +32470999997 (Bob)").wait_for()
        assert (await watched.off_screen(), watched.complaints) == ([], [])


async def check_refused(watched: Watched, label: str, text: str, button: str) -> None:
    """Sends a form with what is wrong in one of its fields, which then says so."""
    tab = watched.page
    wrong = tab.get_by_label(label, exact=True).last
    await wrong.fill(text)
    await press(tab, "button", button)
    await tab.locator("[aria-invalid=true]").first.wait_for(state="attached")
    assert await wrong.get_attribute("aria-invalid") == "true"
    described = ((await wrong.get_attribute("aria-describedby")) or "").split()[0]
    assert await tab.locator(f"#{described}").is_visible()
    assert (await watched.off_screen(), await watched.violations()) == ([], [])
    watched.complaints.clear()  # the browser notes the status 422


def run(program: str, secret: str) -> str:
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("embedder", [NAMED, OTHER])
async def test_only_the_named_page_shows_it_in_a_frame_where_it_works_without_other_cookies(
    portal: Portal, browser: Browser, embedder: str
) -> None:
    await portal.storage.run(lambda tx: tx.accounts.set_frame_origin(portal.ours.account_id, NAMED))
    url = await link(portal)

    async def embed(route: Route) -> None:
        html = f"<!doctype html><title>theirs</title><iframe src='{url}' width=900 height=700></iframe>"
        await route.fulfill(body=html, content_type="text/html")

    async def behind_tls(route: Route) -> None:
        await route.continue_(headers={**route.request.headers, "x-forwarded-proto": "https"})

    async with watched_page(browser) as watched:
        tab = watched.page
        # Chromium asks before a page of the Internet may open one of this machine.
        await tab.context.grant_permissions(["local-network-access"])
        await tab.route(f"{portal.url}/**", behind_tls)
        await tab.route(f"{embedder}/", embed)
        await tab.goto(f"{embedder}/")
        frame = tab.frame_locator("iframe")
        if embedder == OTHER:
            assert any("frame-ancestors" in each for each in watched.complaints), watched.complaints
            assert await frame.locator("#sign-in").count() == 0
            return
        await frame.locator("#sign-in").click()
        await frame.get_by_role("link", name="API keys").click()
        await frame.get_by_role("button", name="Make a key").click()
        key = await frame.locator("#new-key .new-key").text_content() or ""
        [cookie] = await tab.context.cookies(f"{portal.url}/portal")
        assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("None", True, True)
        assert cookie["partitionKey"] == "https://customer.example"
    headers = {"Authorization": f"Bearer {key}"}
    async with portal.client.get(f"{portal.url}/account", headers=headers) as answer:
        assert (await answer.json())["id"] == portal.ours.account_id


async def test_who_may_only_see_is_offered_nothing_to_do(portal: Portal, browser: Browser) -> None:
    secret = (await portal.session(Role.CUSTOMER_VIEWER)).secret
    async with signed_in_page(browser, SITE, portal.url, secret) as watched:
        for page in SITE.pages:
            await watched.page.goto(portal.url + path_of(page, portal.ours.ids))
            buttons = await watched.page.locator("main button").all()
            shown = {await each.inner_text() for each in buttons if await each.is_visible()}
            assert (shown - {"Copy the program"}, page.path) == (set(), page.path)
