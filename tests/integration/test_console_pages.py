"""What the console's pages hold: policy, tokens, no hidden number unless asked for, live calls, files."""

import asyncio
import hashlib
import re
from typing import Any

import pytest

from api.web.frame import streams
from api.web.frame.assets import WEB_FILES, assets
from engine.accounts.sign_in import csrf_token_of, end_session
from engine.domain.ids import CallId
from engine.domain.web_access import Role
from tests.integration.api_helpers import HIDDEN, PEPPER
from tests.integration.web_helpers import ACTIONS, CALL, PAGES, SITE, WAYS, Console, act, ask, call_up, data, path_of
from tests.integration.web_server import clumsy_in

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

VENDORED = sorted(path.parent for path in WEB_FILES.rglob("VENDORED"))
MASKED = "+324•••••56"
# What the policy would block, and what would reach another host.
BLOCKED = re.compile(r"<script(?! src=\")|<style|\sstyle=|\son\w+=|(?:src|href)=\"(?:https?:)?//")


async def test_every_answer_is_under_the_policy(console: Console) -> None:
    secret = (await console.session()).secret
    for path in [*(way.path for way in WAYS if way.method == "GET" and "/stream" not in way.path), "/console/nothing"]:
        answer = await ask(console, "GET", path, secret)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert re.search(r"https?:|\*", policy) is None
        assert answer.headers["Cache-Control"] == "no-store"
        assert BLOCKED.findall(answer.text) == []
        assert len(answer.text.encode()) < 100_000


async def test_every_form_and_button_names_the_token_itself(console: Console) -> None:
    """htmx 4 inherits no attribute by itself, so a token on the body would silently not be sent."""
    secret = (await console.session(Role.ADMIN)).secret
    for site, page in PAGES:
        text = (await ask(console, "GET", path_of(site, page), secret)).text
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.DOTALL):
            assert 'name="csrf"' in form
        for button in re.findall(r"<button[^>]*hx-post[^>]*>", text):
            assert 'hx-include="#csrf"' in button


async def test_pages_write_times_and_counts_for_people_and_leave_no_value_empty(console: Console) -> None:
    secret = (await console.session(Role.ADMIN)).secret
    for site, page in PAGES:
        text = (await ask(console, "GET", path_of(site, page), secret)).text
        assert (clumsy_in(text), page.path) == ([], page.path)


async def test_no_page_and_no_data_hold_a_hidden_number(console: Console) -> None:
    secret = (await console.session(Role.ADMIN)).secret
    for site, page in PAGES:
        for accept in ("text/html", "application/json"):
            answer = await ask(console, "GET", path_of(site, page), secret, Accept=accept)
            assert answer.status == 200
            assert (HIDDEN[1:] in answer.text.replace(" ", ""), page.path) == (False, page.path)


async def test_a_hidden_number_is_shown_on_purpose_only(console: Console) -> None:
    secret = (await console.session()).secret
    shown = next(way for way in ACTIONS if way.path.endswith("hidden-number"))
    assert HIDDEN in (await act(console, shown, secret)).text
    for kind, named in (("booking", console.booking.id), ("record", "cdr_none"), ("number", "x"), ("call", "' OR 1")):
        form = {"csrf": csrf_token_of(secret, PEPPER), "kind": kind, "id": named}
        answer = await ask(console, "POST", shown.path, secret, form, Origin=console.url)
        assert (HIDDEN in answer.text) == (kind == "booking"), answer.text


async def test_the_map_has_each_part_at_its_place_also_parts_named_after_a_trunk(console: Console) -> None:
    places = (await data(console, "/console/system"))["places"]
    assert {each["place"]: [part["part"] for part in each["parts"]] for each in places} == {
        "Calls": ["trunk main", "asterisk modules"],
        "Engine": ["engine"],
        "Data": ["database"],
        "Customers": ["callbacks"],
    }


async def test_live_calls_come_and_go_on_the_stream(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "READ_EVERY_SECONDS", 0.05)
    secret = (await console.session()).secret
    headers = {"Cookie": f"{SITE.cookie}={secret}"}
    async with console.client.get(f"{console.url}/console/live/stream", headers=headers) as answer:
        assert answer.content_type == "text/event-stream"

        async def until(wanted: str) -> str:
            seen = ""
            async with asyncio.timeout(10):
                while wanted not in seen:
                    seen += (await answer.content.readline()).decode()
            return seen

        first = await until(f"Hang up call {CALL}")
        assert MASKED in first
        assert "data-until=" in first
        await call_up(console, CallId(f"{CALL}2"), answered=False, source="+14155550199")
        second = await until("+14155550199")
        assert HIDDEN[1:] not in first + second


async def test_streams_are_bounded_and_end_with_their_session(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.1)
    opened = await console.session()
    headers = {"Cookie": f"{SITE.cookie}={opened.secret}"}
    url = f"{console.url}/console/live/stream"
    answers = [await console.client.get(url, headers=headers) for _ in range(streams.MAX_STREAMS_OF_SESSION + 1)]
    assert [each.status for each in answers] == [200] * streams.MAX_STREAMS_OF_SESSION + [503]
    await console.storage.run(end_session, opened.session.id, console.clock.now())
    async with asyncio.timeout(10):
        await asyncio.gather(*(each.read() for each in answers))


@pytest.mark.parametrize("directory", VENDORED, ids=lambda each: each.name)
async def test_vendored_files_are_unchanged(directory: Any) -> None:
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (directory / "VENDORED").read_text(), re.MULTILINE)
    assert {name for _, name in listed} == {path.name for path in directory.iterdir()} - {"VENDORED"}
    for digest, name in listed:
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest


async def test_files_are_small_and_cached_for_ever(console: Console) -> None:
    total = 0
    for asset in assets().values():
        answer = await ask(console, "GET", f"/console{asset.path}", **{"Accept-Encoding": "gzip"})
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        total += len(asset.packed)
    assert total < 100_000
    # htmx begins with a page right after its own script: an extension in a later one may come too late on a slow line.
    assert b"hx-sse" in assets()["htmx.js"].content
    digest, name = next(iter(assets().values())).path.split("/")[2:]
    for path in (f"/static/{digest}/other.css", f"/static/0000/{name}", f"/static/{digest}/%2e%2e%2fserved.py"):
        assert (await ask(console, "GET", f"/console{path}")).status == 404
