"""The customer portal: no account sees or changes another's, and who gets in, for every page and action."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.accounts.lifecycle import resume, suspend
from engine.accounts.sign_in import csrf_token_of, end_session, make_link
from engine.cdr.refused import OWN_RECORDS
from engine.domain.times import HOUR_MS, EpochMs
from engine.domain.web_access import CUSTOMER_LINK_MS, MAX_LINKS_OF_ACCOUNT, Role
from tests.integration.api_helpers import PEPPER
from tests.integration.portal_helpers import (
    CLOCK,
    SIP_CALL_ID,
    SITE,
    TRUNKS,
    UNKNOWN,
    Portal,
    Tenant,
    act,
    ask,
    everything_of,
    form_for,
    link_of,
    path_of,
    use,
)
from tests.integration.web_server import clumsy_in

pytest_plugins = ["tests.integration.portal_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("text/html", "application/json")
WITH_ID = [page for page in SITE.pages if page.placeholders]
ABOUT_IDS = [action for action in SITE.actions if "id" in action.fields | action.placeholders.keys()]
FRAME = "https://www.customer.example"


async def test_every_page_shows_the_accounts_own_data_and_nothing_of_another(portal: Portal) -> None:
    for tenant, other in ((portal.ours, portal.theirs), (portal.theirs, portal.ours)):
        secret = (await portal.session(Role.CUSTOMER_VIEWER, of=tenant)).secret
        seen = ""
        for page in SITE.pages:
            for accept in KINDS:
                answer = await ask(portal, "GET", path_of(page, tenant.ids), secret, Accept=accept)
                assert (answer.status, page.path) == (200, page.path), answer.text
                found = [mark for mark in (*other.marks, *TRUNKS, SIP_CALL_ID) if mark in answer.text]
                assert (found, page.path) == ([], page.path)
                assert (clumsy_in(answer.text) if accept == KINDS[0] else [], page.path) == ([], page.path)
                seen += answer.text
        shown = {"booking", "record", "callback", "key"}
        assert {kind for kind in shown if tenant.ids[kind] in seen} == shown
        for mark in (tenant.name, tenant.booking.service, tenant.booking.destination, tenant.booking.callback):
            assert mark in seen, "the account's own data are shown as the API shows them"


async def test_calls_say_what_became_of_them_as_the_api_says_it(portal: Portal) -> None:
    tenant, secret = portal.ours, (await portal.session()).secret
    headers = {"Authorization": f"Bearer {tenant.key}"}

    async def data(path: str) -> Any:
        return json.loads((await ask(portal, "GET", path, secret, Accept="application/json")).text)

    calls = (await data("/portal/calls"))["data"]
    assert Counter(call["outcome"] for call in calls) == {
        "The call ended: the caller hung up, SIP 200, cause 16 (normal call clearing).": 1,
        "Refused: the booking refused callers who withhold their number.": OWN_RECORDS,
    }
    for call in calls:
        story = await data(f"/portal/calls/{call['id']}")
        async with portal.client.get(f"{portal.url}/calls/{call['id']}/trace", headers=headers) as answer:
            assert story["call"] == await answer.json()
        assert story["outcome"] == call["outcome"]
        assert story["outcome"].removesuffix(".") in str([step["message"] for step in story["call"]["timeline"]])
    newest = (await ask(portal, "GET", "/portal/calls", secret)).text
    assert "And 1 more of that minute." in newest


async def test_another_accounts_ids_answer_like_unknown_ones(portal: Portal) -> None:
    secret = (await portal.session()).secret
    for page in WITH_ID:
        for accept in KINDS:
            foreign, unknown = [
                await ask(portal, "GET", path_of(page, ids), secret, Accept=accept)
                for ids in (portal.theirs.ids, UNKNOWN)
            ]
            assert (foreign.status, page.path) == (404, page.path)
            assert foreign.text == unknown.text
    theirs = (await portal.session(of=portal.theirs)).secret
    for query in (f"bookingId={portal.theirs.ids['booking']}",):
        answer = await ask(portal, "GET", f"/portal/calls?{query}", secret, Accept="application/json")
        assert json.loads(answer.text)["data"] == []
        answer = await ask(portal, "GET", f"/portal/calls?{query}", theirs, Accept="application/json")
        assert len(json.loads(answer.text)["data"]) == 1 + OWN_RECORDS


async def test_no_action_reaches_another_account(portal: Portal) -> None:
    secret = (await portal.session()).secret
    before = await everything_of(portal, portal.theirs)
    for action in ABOUT_IDS:
        foreign, unknown, wrong = [
            await act(portal, action, secret, form_for(action, ids))
            for ids in (portal.theirs.ids, UNKNOWN, dict.fromkeys(UNKNOWN, "' OR 1"))
        ]
        assert (foreign.status, unknown.status, wrong.status, action.path) == (404, 404, 404, action.path)
        assert foreign.text == unknown.text
    assert await everything_of(portal, portal.theirs) == before
    csrf = csrf_token_of((await portal.session(of=portal.theirs)).secret, PEPPER)
    answer = await act(portal, ABOUT_IDS[0], secret, form_for(ABOUT_IDS[0], portal.ours.ids), csrf=csrf)
    assert answer.status == 403, "another account's token"


async def no_session(_: Portal) -> str:
    return ""


async def an_unknown_one(_: Portal) -> str:
    return "A" * 43


async def an_ended_one(portal: Portal) -> str:
    opened = await portal.session()
    await portal.storage.run(end_session, opened.session.id, CLOCK.now())
    return opened.secret


async def one_past_its_end(portal: Portal) -> str:
    return (await portal.session(life_ms=0)).secret


async def an_operators_one(portal: Portal) -> str:
    return (await portal.session(Role.ADMIN)).secret


async def a_links_code(portal: Portal) -> str:
    link: str = (await link_of(portal, portal.ours, scope="full"))["url"]
    return link.partition("#")[2]


async def an_api_key(portal: Portal) -> str:
    return portal.ours.key


SECRETS = (no_session, an_unknown_one, an_ended_one, one_past_its_end, an_operators_one, a_links_code, an_api_key)


async def test_nobody_gets_anything_without_an_open_session_of_a_customer(portal: Portal) -> None:
    before = await everything_of(portal, portal.ours)
    for secret_of in SECRETS:
        made: Callable[[Portal], Awaitable[str]] = secret_of
        secret = await made(portal)
        for page in SITE.pages:
            for sent in ({"Cookie": f"{SITE.cookie}={secret}"}, {"Authorization": f"Bearer {secret}"}):
                answer = await ask(portal, "GET", path_of(page, portal.ours.ids), "", **sent)
                assert (answer.status, page.path, made.__name__) == (401, page.path, made.__name__)
                assert [mark for mark in portal.ours.marks if mark in answer.text] == []
        for action in SITE.actions:
            answer = await act(portal, action, secret, form_for(action, portal.ours.ids))
            assert (answer.status, action.path, made.__name__) == (401, action.path, made.__name__)
    assert await everything_of(portal, portal.ours) == before
    for path in ("/console", "/console/live"):
        secret = (await portal.session()).secret
        assert (await ask(portal, "GET", path, "", Cookie=f"rn_console={secret}")).status == 401


async def test_who_may_only_see_changes_nothing_and_is_shown_no_secret(portal: Portal) -> None:
    secret = (await portal.session(Role.CUSTOMER_VIEWER)).secret
    before = await everything_of(portal, portal.ours)
    for action in SITE.actions:
        answer = await act(portal, action, secret, form_for(action, portal.ours.ids))
        assert (answer.status, action.path) == (403, action.path)
    assert await everything_of(portal, portal.ours) == before
    assert "RoleRefused" in portal.events()


async def test_no_other_page_makes_a_customer_do_anything(portal: Portal) -> None:
    secret = (await portal.session()).secret
    before = await everything_of(portal, portal.ours)
    for action in SITE.actions:
        form = form_for(action, portal.ours.ids)
        for changes in (
            {"csrf": ""},
            {"csrf": csrf_token_of("another session", PEPPER)},
            {"Origin": "null"},
            {"Origin": FRAME},
            {"leave_out": "csrf"},
            {"leave_out": "Origin"},
        ):
            answer = await act(portal, action, secret, form, **changes)
            assert (answer.status, action.path, changes) == (403, action.path, changes)
        assert (await ask(portal, "GET", SITE.prefix + action.path, secret)).status in {404, 405}
    assert await everything_of(portal, portal.ours) == before


async def test_a_link_signs_one_browser_in_for_as_long_as_it_says(portal: Portal) -> None:
    made = await link_of(portal, portal.ours, scope="read", sessionSeconds=120)
    assert made["url"].startswith(f"{portal.url}/portal/sign-in?account={portal.ours.account_id}#")
    assert (await use(portal, made["url"], Origin="https://attacker.example")).status == 403
    both = await asyncio.gather(use(portal, made["url"]), use(portal, made["url"]))
    assert sorted(each.status for each in both) == [303, 401]
    [cookie] = [each.headers["Set-Cookie"] for each in both if each.status == 303]
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/portal"):
        assert attribute in cookie
    secret = cookie.partition(";")[0].partition("=")[2]
    assert (await ask(portal, "GET", "/portal", secret)).status == 200
    sessions = await portal.storage.run(lambda tx: tx.web_access.open_sessions(CLOCK.now()))
    [opened] = [each for each in sessions if each.ends_at - each.created_at <= 120_000]
    assert (opened.role, opened.account_id) == (Role.CUSTOMER_VIEWER, portal.ours.account_id)
    early = EpochMs(CLOCK.now() - CUSTOMER_LINK_MS)
    old = await portal.storage.run(make_link, Role.CUSTOMER, portal.ours.account_id, HOUR_MS, PEPPER, early)
    assert (await use(portal, f"/portal/sign-in#{old.code}")).status == 401
    operators = await portal.storage.run(make_link, Role.ADMIN, None, HOUR_MS, PEPPER, CLOCK.now())
    assert (await use(portal, f"/portal/sign-in#{operators.code}")).status == 401


async def test_an_account_has_a_few_links_at_a_time(portal: Portal) -> None:
    links = [await link_of(portal, portal.theirs, scope="full") for _ in range(MAX_LINKS_OF_ACCOUNT + 1)]
    assert (await use(portal, links[0]["url"])).status == 401
    assert (await use(portal, links[1]["url"])).status == 303


async def test_only_the_page_that_the_account_has_named_may_show_the_portal_in_a_frame(portal: Portal) -> None:
    ours, theirs = portal.ours, portal.theirs
    await portal.storage.run(lambda tx: tx.accounts.set_frame_origin(ours.account_id, FRAME))
    secrets = [(await portal.session(of=each)).secret for each in (ours, theirs)]

    async def framed_by(path: str, secret: str = "") -> str:
        policy: str = (await ask(portal, "GET", path, secret)).headers["Content-Security-Policy"]
        return policy.rpartition("frame-ancestors ")[2]

    for page in SITE.pages:
        assert await framed_by(path_of(page, ours.ids), secrets[0]) == FRAME
        assert await framed_by(path_of(page, theirs.ids), secrets[1]) == "'none'"
    named = "/portal/sign-in?account="
    for path, secret, expected in (
        (named + ours.account_id, "", FRAME),
        (named + theirs.account_id, "", "'none'"),
        (named + "acc_" + "0" * 32, "", "'none'"),
        (named + "*", "", "'none'"),
        ("/portal/sign-in", "", "'none'"),
        ("/portal", "", "'none'"),
        (f"/portal/bookings/{UNKNOWN['booking']}", secrets[0], FRAME),
    ):
        assert (await framed_by(path, secret), path) == (expected, path)
    # Somebody who is signed in is not shown to the page of the account that a link names.
    assert await framed_by(named + ours.account_id, secrets[1]) == "'none'"

    async def cookie(tenant: Tenant, **headers: str) -> str:
        made = await link_of(portal, tenant, scope="full")
        answer: str = (await use(portal, made["url"], **headers)).headers["Set-Cookie"]
        return answer

    in_frame, over_tls = await cookie(ours, **{"X-Forwarded-Proto": "https"}), {"X-Forwarded-Proto": "https"}
    for attribute in ("SameSite=None", "Secure", "Partitioned", "HttpOnly"):
        assert attribute in in_frame
    for other in (await cookie(ours), await cookie(theirs, **over_tls)):
        assert ("SameSite=Strict" in other, "Partitioned" in other, "None" in other) == (True, False, False)
    await portal.storage.run(lambda tx: tx.accounts.set_frame_origin(ours.account_id, None))


async def test_a_suspended_account_has_no_portal(portal: Portal) -> None:
    secret = (await portal.session(of=portal.theirs)).secret
    await portal.storage.run(suspend, portal.theirs.name, "unpaid", CLOCK.now())
    for page in SITE.pages:
        answer = await ask(portal, "GET", path_of(page, portal.theirs.ids), secret)
        assert (answer.status, page.path) == (403, page.path)
    for action in SITE.actions:
        answer = await act(portal, action, secret, form_for(action, portal.theirs.ids))
        assert (answer.status, action.path) == (403, action.path)
    await portal.storage.run(resume, portal.theirs.name)
    assert (await ask(portal, "GET", "/portal", secret)).status == 200


async def test_requests_count_towards_the_accounts_quota(portal: Portal) -> None:
    secret = (await portal.session(of=portal.theirs)).secret
    own = portal.theirs
    await portal.storage.run(lambda tx: tx.accounts.set_own_limits(own.account_id, {"requests_per_minute": 3}))
    statuses = [(await ask(portal, "GET", "/portal/usage", secret)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    await portal.storage.run(lambda tx: tx.accounts.set_own_limits(own.account_id, {}))
