"""The console's frame: who gets what, and how requests are checked, for every page, action and stream."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from yarl import URL

from api.web.frame import streams
from api.web.frame.services import REFUSALS_PER_MINUTE
from engine.accounts.sign_in import csrf_token_of, end_session
from engine.domain.times import HOUR_MS, MINUTE_MS
from engine.domain.web_access import IDLE_MS, LINK_MS, Role
from tests.integration.api_helpers import HIDDEN, PEPPER
from tests.integration.web_helpers import ACTIONS, CALL, FIELDS, SITE, WAYS, Console, act, ask
from tests.integration.web_server import Answer

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def no_session(_: Console) -> str:
    return ""


async def an_unknown_one(_: Console) -> str:
    return "A" * 43


async def an_ended_one(console: Console) -> str:
    opened = await console.session(Role.ADMIN)
    await console.storage.run(end_session, opened.session.id, console.clock.now())
    return opened.secret


async def one_past_its_end(console: Console) -> str:
    opened = await console.session(Role.ADMIN, life_ms=MINUTE_MS)
    console.clock.advance(MINUTE_MS)
    return opened.secret


async def an_idle_one(console: Console) -> str:
    opened = await console.session(Role.ADMIN)
    console.clock.advance(IDLE_MS)
    return opened.secret


async def a_customers_one(console: Console) -> str:
    return (await console.session(Role.CUSTOMER)).secret


async def a_links_code(console: Console) -> str:
    return await console.link(Role.ADMIN)


SECRETS = (no_session, an_unknown_one, an_ended_one, one_past_its_end, an_idle_one, a_customers_one, a_links_code)


@pytest.mark.parametrize("secret_of", SECRETS, ids=lambda each: each.__name__)
async def test_nobody_gets_anything_without_an_open_session(
    console: Console, secret_of: Callable[[Console], Awaitable[str]]
) -> None:
    secret = await secret_of(console)
    for way in WAYS:
        form = {name: FIELDS[name] for name in way.fields} if way.method == "POST" else None
        answers = [
            await ask(console, way.method, way.path, secret, form, Origin=console.url),
            await ask(console, way.method, way.path, "", form, Authorization=f"Bearer {secret}"),
        ]
        for answer in answers:
            assert (answer.status, way) == (401, way)
            assert CALL not in answer.text
            assert "Sign in" in answer.text
    assert console.operator.hung_up == []


async def test_a_role_gets_no_more_than_it_permits(console: Console) -> None:
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        secret = (await console.session(role)).secret
        for way in WAYS:
            if role.permits(way.role):
                continue
            answer = (
                await act(console, way, secret) if way.method == "POST" else await ask(console, "GET", way.path, secret)
            )
            assert (answer.status, way) == (403, way)
    assert console.operator.hung_up == []
    assert "RoleRefused" in console.events()


@pytest.mark.parametrize(
    "changes",
    [
        {"csrf": None},
        {"csrf": ""},
        {"csrf": csrf_token_of("another session", PEPPER)},
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "https://attacker.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
    ],
    ids=str,
)
async def test_no_other_page_changes_anything(console: Console, changes: dict[str, str | None]) -> None:
    secret = (await console.session(Role.ADMIN)).secret
    for way in ACTIONS:
        assert ((await act(console, way, secret, **changes)).status, way) == (403, way)
        # A simple request of another site can have a body of any kind that forms have.
        multipart = aiohttp.FormData({"csrf": csrf_token_of(secret, PEPPER)}, default_to_multipart=True)
        assert (await ask(console, "POST", way.path, secret, multipart, Origin=console.url)).status == 415
        assert (await ask(console, "GET", way.path, secret)).status in {404, 405}
    assert (await ask(console, "POST", "/console/sign-out", secret, {"csrf": ""}, Origin=console.url)).status == 403
    # Another site's form comes without the cookie, and must not delete it.
    answer = await ask(console, "POST", "/console/sign-out", "", {"csrf": ""}, Origin="https://attacker.example")
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    assert console.operator.hung_up == []
    assert "ForgedRequest" in console.events()


async def test_an_empty_authorization_does_not_make_a_browser_a_program(console: Console) -> None:
    secret = (await console.session(Role.ADMIN)).secret
    headers = {"Authorization": "", "Origin": "https://attacker.example"}
    assert (await ask(console, "POST", "/console/live/hang-up", secret, {"call": CALL}, **headers)).status == 403
    assert console.operator.hung_up == []


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/x-www-form-urlencoded", b"code=\xff", 400),
        ("application/x-www-form-urlencoded; charset=no-such", b"code=a", 415),
        ("application/x-www-form-urlencoded; charset=punycode", b"-" + b"a" * 60_000, 415),
    ],
)
async def test_a_form_that_is_no_text_is_refused(console: Console, kind: str, body: bytes, expected: int) -> None:
    headers = {"Content-Type": kind, "Origin": console.url}
    assert (await ask(console, "POST", "/console/sign-in", "", body, **headers)).status == expected
    packed = headers | {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    assert (await ask(console, "POST", "/console/sign-in", "", gzip.compress(b"code=a"), **packed)).status == 415


async def test_a_form_that_is_too_long_or_does_not_arrive_is_refused(console: Console) -> None:
    for length, expected in ((70_000, 413), (100, 408)):
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(console.url).port)
        head = {"Host": "x", "Origin": "http://x", "Content-Type": "application/x-www-form-urlencoded"}
        lines = [f"{name}: {value}" for name, value in {**head, "Content-Length": length}.items()]
        writer.write("\r\n".join(["POST /console/sign-in HTTP/1.1", *lines, "", "code="]).encode())
        answer = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        assert answer.startswith(f"HTTP/1.1 {expected} ".encode()), answer


async def test_refusals_of_one_session_do_not_fill_the_security_log(console: Console) -> None:
    opened = await console.session(Role.VIEWER)
    for _ in range(REFUSALS_PER_MINUTE + 10):
        answer = await ask(console, "POST", "/console/live/hang-up", opened.secret, {"call": CALL}, Origin=console.url)
        assert answer.status == 403
    logged = [line for line in console.log.newest(1000) if line["SessionID"] == opened.session.id]
    assert len(logged) == REFUSALS_PER_MINUTE


async def test_what_a_page_sends_is_carried_out_and_logged(console: Console) -> None:
    opened = await console.session(Role.ADMIN)
    for way in ACTIONS:
        answer = await act(console, way, opened.secret)
        assert (answer.status, way) == (200, way), answer.text
    assert console.operator.hung_up == [CALL]
    console.operator.hung_up.clear()
    events = {line["SecurityEvent"]: line for line in console.log.newest(1000)}
    for action in SITE.actions:
        assert events[action.event]["SessionID"] == opened.session.id
    assert events["CallHungUp"]["Subject"] == events["HiddenNumberShown"]["Subject"] == CALL
    assert HIDDEN[1:] not in str(console.log.newest(1000))


async def test_a_program_needs_its_session_only(console: Console) -> None:
    secret = (await console.session()).secret
    headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json"}
    answer = await ask(console, "POST", "/console/live/hang-up", "", {"call": CALL}, **headers)
    assert (answer.status, json.loads(answer.text)["ended"]) == (200, True)
    console.operator.hung_up.clear()


async def test_a_link_opens_one_session_for_one_browser(console: Console) -> None:
    code = await console.link(Role.VIEWER)

    async def use(code: str, origin: str = console.url) -> Answer:
        return await ask(console, "POST", "/console/sign-in", "", {"code": code}, Origin=origin)

    assert (await use(code, "https://attacker.example")).status == 403
    both = await asyncio.gather(use(f" {code}\n"), use(code))
    assert sorted(each.status for each in both) == [303, 401]
    [answer] = [each for each in both if each.status == 303]
    [cookie] = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("rn_console=")
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/console"):
        assert attribute in cookie
    assert (await ask(console, "GET", "/console", cookie.partition(";")[0].partition("=")[2])).status == 200
    old = await console.link()
    console.clock.advance(LINK_MS)
    assert (await use(old)).status == 401
    assert {"SignedIn", "InvalidPassword"} <= set(console.events())


async def test_another_link_replaces_the_open_session_and_ends_it(console: Console) -> None:
    secret = (await console.session(Role.ADMIN)).secret
    page = await ask(console, "GET", "/console/sign-in", secret)
    assert (page.status, "You are signed in" in page.text, 'id="code"' in page.text) == (200, True, True)
    form = {"code": await console.link(Role.VIEWER)}
    assert (await ask(console, "POST", "/console/sign-in", secret, form, Origin=console.url)).status == 303
    assert (await ask(console, "GET", "/console", secret)).status == 401


async def test_signing_out_ends_the_session(console: Console) -> None:
    secret = (await console.session()).secret
    form = {"csrf": csrf_token_of(secret, PEPPER)}
    answer = await ask(console, "POST", "/console/sign-out", secret, form, Origin=console.url)
    assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in")
    assert (await ask(console, "GET", "/console", secret)).status == 401
    assert "SignedOut" in console.events()


async def test_what_a_page_asks_for_by_itself_does_not_keep_a_session_open(console: Console) -> None:
    used, refreshed = await console.session(), await console.session()
    for _ in range(3):
        console.clock.advance(IDLE_MS // 2)
        assert (await ask(console, "GET", "/console/trunks", used.secret)).status == 200
        answer = await ask(console, "GET", "/console/trunks", refreshed.secret, **{"X-Refresh": "1"})
    assert answer.status == 401


async def test_an_open_stream_does_not_keep_a_session_open(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.01)
    headers = {"Cookie": f"{SITE.cookie}={(await console.session()).secret}"}
    console.clock.advance(IDLE_MS // 2)
    async with asyncio.timeout(10), console.client.get(f"{console.url}/console/live/stream", headers=headers) as answer:
        assert answer.status == 200
        await answer.content.readany()
        for _ in range(2):
            console.clock.advance(IDLE_MS // 4)
            await asyncio.sleep(0.1)  # the stream asks meanwhile whether the session is open
        await answer.read()  # it ends with its session


async def test_a_code_that_opens_nothing_costs_no_transaction(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object) -> None:
        raise AssertionError("a transaction")

    monkeypatch.setattr(console.storage, "run", run)
    assert (await ask(console, "POST", "/console/sign-in", "", {"code": "C" * 43}, Origin=console.url)).status == 401


async def test_guessing_codes_is_slowed_down(console: Console) -> None:
    async def guess() -> int:
        answer = await ask(console, "POST", "/console/sign-in", "", {"code": "B" * 43}, Origin=console.url)
        return answer.status

    statuses = [await guess() for _ in range(25)]
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}


async def test_a_session_lives_no_longer_than_its_link_said(console: Console) -> None:
    code = await console.link(life_ms=2 * HOUR_MS)
    answer = await ask(console, "POST", "/console/sign-in", "", {"code": code}, Origin=console.url)
    secret = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    for _ in range(5):
        console.clock.advance(IDLE_MS - 2 * MINUTE_MS)
        status = (await ask(console, "GET", "/console/trunks", secret)).status
    assert status == 401
