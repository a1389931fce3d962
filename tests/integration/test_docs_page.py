"""GET /docs: everybody's, offline, under a strict policy, and what it tries out is really asked. In real Chromium."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from api.app import ROUTES
from api.docs_page.served import FILES, PAGE
from api.http.static_page import StaticPage
from api.phone_page import served as phone_page
from tests.browser import Page, chromium, opened
from tests.integration.api_helpers import Api
from tests.integration.conformance import DOCUMENT

pytest_plugins = ["tests.integration.api_fixtures"]

OPERATIONS = {route.operation.id for route in ROUTES}
KINDS = ["text/css", "text/javascript", "text/javascript"]
ASSETS = [f"/{path}" for path in PAGE.paths.values()]


@pytest.mark.parametrize("directory", [FILES / "swagger-ui", phone_page.FILES / "jssip"], ids=lambda each: each.name)
def test_the_vendored_files_are_unchanged(directory: Path) -> None:
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (directory / "VENDORED").read_text(), re.MULTILINE)
    assert {name for _, name in listed} == {path.name for path in directory.iterdir()} - {"VENDORED"}
    assert [
        name for digest, name in listed if hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest
    ] == []


@pytest.mark.parametrize("page", [PAGE, phone_page.PAGE], ids=["docs", "phone"])
def test_the_page_has_nothing_that_its_policy_blocks(page: StaticPage) -> None:
    assert re.findall(rb"<script(?! src=\")|<style|style=|\son\w+=|https?://", page.html) == []


async def test_the_page_is_public_and_under_a_strict_policy(api: Api) -> None:
    for path in ("/docs", *ASSETS):
        answer = await api.client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert re.search(r"https?:|\*", policy) is None
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        await answer.read()


@pytest.mark.parametrize(("path", "kind"), [("/docs", "text/html"), *zip(ASSETS, KINDS, strict=True)])
async def test_a_cached_page_is_not_sent_again(api: Api, path: str, kind: str) -> None:
    first = await api.client.get(path)
    assert first.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert len(await first.read()) > 100
    known = {"If-None-Match": first.headers["ETag"]}
    again = await api.client.get(path, headers=known)
    assert (again.status, await again.read()) == (304, b"")
    head = await api.client.head(path)
    assert (head.status, await head.read()) == (200, b"")


async def test_files_are_cached_for_ever_and_the_page_is_revalidated(api: Api) -> None:
    assert (await api.client.get("/docs")).headers["Cache-Control"] == "no-cache"
    for path in ASSETS:
        assert "immutable" in (await api.client.get(path)).headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/start.js", "/docs/../api.py", f"{ASSETS[0]}x", "/docs/%2e%2e/served.py"]
)
async def test_no_other_file_is_served(api: Api, path: str) -> None:
    answer = await api.client.get(URL(path, encoded=True))
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (404, "not_found")


@pytest.fixture
async def page(api: Api, tmp_path: Path) -> AsyncIterator[Page]:
    """Return the page after all operations are shown."""
    async with chromium(tmp_path) as devtools, opened(devtools) as page:
        await page.tell("Page.navigate", url=str(api.client.make_url("/docs")))
        await page.wait(f"document.querySelectorAll('.opblock').length >= {len(OPERATIONS)}")
        yield page


def asked_elsewhere(page: Page, api: Api) -> list[str]:
    ours = str(api.client.make_url("/"))
    return [url for url in page.seen.urls if not url.startswith((ours, "data:"))]


async def test_the_page_shows_every_operation_and_every_callback(page: Page, api: Api) -> None:
    shown = await page.do("[...document.querySelectorAll('.opblock')].map(each => each.id.split('-').pop())")
    callbacks = {event["post"]["operationId"] for event in DOCUMENT["webhooks"].values()}
    assert set(shown) == OPERATIONS | callbacks
    assert await page.do("document.querySelector('.info .title').textContent.includes('Rented numbers')")
    assert page.seen.complaints == []
    assert asked_elsewhere(page, api) == []


async def test_an_operation_can_be_tried_out_with_a_key(page: Page, api: Api) -> None:
    booked = await api.book()
    await page.click("document.querySelector('.btn.authorize')")
    await page.type("document.querySelector('.auth-container input')", api.keys["ours"])
    await page.click("document.querySelector('.auth-btn-wrapper .authorize')")
    await page.click("document.querySelector('.auth-btn-wrapper .btn-done')")
    await page.click("document.querySelector('[id$=-listBookings] button.opblock-summary-control')")
    await page.wait("document.querySelector('[id$=-listBookings] tr[data-param-name=limit] input')?.value === '20'")
    await page.click("document.querySelector('[id$=-listBookings] .btn.execute')")
    answer = "document.querySelector('[id$=-listBookings] .live-responses-table tbody .response-col_status')"
    await page.wait(answer)
    assert (await page.do(f"{answer}.textContent")).startswith("200")
    body = await page.do("document.querySelector('[id$=-listBookings] .live-responses-table pre').textContent")
    assert json.loads(body)["data"] == [booked]
    assert page.seen.complaints == []
    assert asked_elsewhere(page, api) == []


async def test_the_test_browser_reports_violations_of_the_policy(page: Page) -> None:
    """Without this the two tests above would prove nothing."""
    await page.do("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit = 1'})), 0")
    await page.do("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert await page.do("window.hit") is None
    assert len(page.seen.complaints) >= 2
