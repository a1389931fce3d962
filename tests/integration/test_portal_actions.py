"""What the actions of the customer portal do, what they refuse, and the portal of a sandbox."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import pytest_asyncio

from api.web.portal.keys import MAX_KEYS
from engine.accounts.keys import create_key
from engine.accounts.sign_in import csrf_token_of
from engine.domain.policy import Policy, UsagePlan
from engine.domain.times import DAY_MS, EpochMs, instant_from, rfc3339
from tests.integration.api_helpers import PEPPER, POLICY
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.portal_helpers import (
    CLOCK,
    SITE,
    Portal,
    a_tenant,
    act,
    ask,
    everything_of,
    fields_of,
    form_for,
    link_of,
    path_of,
    share_number,
    use,
)
from tests.integration.web_server import Answer as PageAnswer
from tests.integration.web_server import clumsy_in

pytest_plugins = ["tests.integration.portal_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


# What the fields of the forms mean to the API.
CHANGED: dict[str, Any] = {
    "destination": "+32470999999",
    "callback": "https://changed.example/calls",
    "language": "nl",
    "screening": "press1",
    "whisper": True,
    "greeting": True,
    "beep": True,
    "reverse": True,
    "acceptFormerCallers": True,
    "hours": {
        "timeZone": "Europe/Brussels",
        "open": [
            {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:30"},
            {"days": ["sat"], "from": "10:00", "to": "24:00"},
        ],
    },
}


async def test_what_a_page_sends_is_carried_out_for_its_account(portal: Portal, receiver: CallbackReceiver) -> None:
    tenant = await portal.storage.run(a_tenant, "third-one", "+33612345678")
    opened = await portal.session(of=tenant)
    done: dict[str, dict[str, Any]] = {}

    async def carry_out(path: str, **changes: str) -> dict[str, Any]:
        [action] = [each for each in SITE.actions if each.path == path]
        form = {**form_for(action, tenant.ids, receiver.url), "csrf": csrf_token_of(opened.secret, PEPPER), **changes}
        sent = fields_of(action, form) | {"csrf": form["csrf"]}
        wanted = {"Accept": "application/json", "Origin": portal.url}
        url = SITE.prefix + path.replace("{id}", form["id"])
        answer = await ask(portal, "POST", url, opened.secret, sent, **wanted)
        assert (answer.status, path) == (200, path), answer.text
        done[path] = json.loads(answer.text)
        return done[path]

    async def api(path: str, key: str = tenant.key) -> tuple[int, Any]:
        async with portal.client.get(portal.url + path, headers={"Authorization": f"Bearer {key}"}) as answer:
            return answer.status, await answer.json()

    booking = f"/bookings/{tenant.ids['booking']}"
    for _ in range(2):  # the form that is sent twice
        await carry_out("/bookings/renew")
    left = POLICY.plans[UsagePlan.LARGE].seconds - 12 + POLICY.plans[UsagePlan.SMALL].seconds
    assert (await api(booking))[1]["secondsRemaining"] == left
    before = (await api(booking))[1]
    for _ in range(2):
        swapped = (await carry_out("/bookings/swap-number"))["booking"]
    assert swapped == (await api(booking))[1] == before | {name: swapped[name] for name in swapped if "service" in name}
    assert swapped["service"] != before["service"]
    changed = (await carry_out("/bookings/{id}/change"))["booking"]
    assert changed == (await api(booking))[1] == swapped | CHANGED | {"label": None, "paused": True}
    for _ in range(2):
        booked = (await carry_out("/book", label="Shop", country="BE"))["booking"]
    assert (await api("/bookings"))[1]["data"] == [booked, changed]
    assert {name: booked[name] for name in CHANGED} == CHANGED
    assert (booked["label"], booked["usagePlan"], booked["startTime"]) == ("Shop", "SMALL", booked["createdAt"])
    await share_number(portal, "+3225550093")
    assert (await carry_out("/book-pair"))["booking"]["service"] == "+3225550093"
    sent = (await carry_out("/deliveries/test"))["callback"]
    assert (sent["state"], sent["test"], receiver.requests[-1].event_id) == ("DELIVERED", True, sent["id"])
    await carry_out("/deliveries/redeliver", id=sent["id"])
    await carry_out("/deliveries/enable")
    assert (await api("/callbacks/endpoints"))[1]["data"][-1]["state"] == "ENABLED"
    key = (await carry_out("/keys/create"))["key"]
    assert (await api(booking, key))[0] == 200
    await carry_out("/keys/revoke")
    assert [(await api(booking))[0], (await api(booking, key))[0]] == [401, 200]
    secret = (await carry_out("/secret/show"))["secret"]
    rotated = (await carry_out("/secret/rotate"))["secret"]
    assert (secret in tenant.marks, rotated in tenant.marks) == (True, False)
    assert (await api("/webhook-secret", key))[1] == {"secret": rotated, "oldSecret": None, "oldSecretUntil": None}
    await carry_out("/bookings/cancel")
    assert (await api(booking, key))[1]["code"] == "gone"
    assert done.keys() == {action.path for action in SITE.actions}
    of_session = [line for line in portal.log.newest(1000) if line["SessionID"] == opened.session.id]
    assert {line["SecurityEvent"] for line in of_session} == {action.event for action in SITE.actions}
    hidden = (tenant.name, tenant.booking.callback, tenant.booking.service, tenant.booking.destination, key, secret)
    assert [mark for mark in hidden if mark in str(portal.log.newest(1000))] == []


async def test_an_account_makes_a_few_keys_a_day(portal: Portal) -> None:
    tenant = await portal.storage.run(a_tenant, "makes-keys", "+33612345679")
    secret = (await portal.session(of=tenant)).secret
    ways = {action.path: action for action in SITE.actions}

    async def made_and_revoked() -> int:
        answer = await act(portal, ways["/keys/create"], secret, {})
        [newest, *_] = reversed(await portal.storage.run(lambda tx: tx.accounts.keys_of(tenant.account_id)))
        await act(portal, ways["/keys/revoke"], secret, {"id": newest["id"]})
        return answer.status

    statuses = [await made_and_revoked() for _ in range(MAX_KEYS)]
    assert statuses == [200] * (MAX_KEYS - 1) + [429], "the account had one already"


async def test_what_a_form_says_wrongly_is_refused(portal: Portal) -> None:
    secret = (await portal.session()).secret
    before = await everything_of(portal, portal.ours)
    for path, changes in (
        ("/bookings/renew", {"usagePlan": "HUGE"}),
        ("/bookings/{id}/change", {"destination": "+32"}),
        ("/bookings/{id}/change", {"callback": "ftp://x.example"}),
        ("/bookings/{id}/change", {"label": "\u202e"}),
        ("/bookings/{id}/change", {"paused": "perhaps"}),
        ("/bookings/{id}/change", {"startTime": "soon"}),
        ("/book", {"destination": "+32"}),
        ("/book", {"usagePlan": "HUGE"}),
        ("/book", {"hours": "mon 9-17"}),
        ("/book", {"timeZone": "Mars/Olympus"}),
        ("/book", {"startTime": "2199-01-01T00:00"}),
        ("/bookings/cancel", {"sure": "no"}),
        ("/bookings/swap-number", {"sure": "no"}),
        ("/deliveries/test", {"url": "http://10.0.0.1/"}),
        ("/secret/rotate", {"overlap": "-1"}),
    ):
        [action] = [each for each in SITE.actions if each.path == path]
        answer = await act(portal, action, secret, form_for(action, portal.ours.ids) | changes)
        assert (answer.status, path, changes) == (422, path, changes)
    assert await everything_of(portal, portal.ours) == before


async def test_fields_stay_as_they_are_and_what_is_wrong_stands_beside_its_field(portal: Portal) -> None:
    tenant = await portal.storage.run(a_tenant, "plans-ahead", "+33612345682")
    secret = (await portal.session(of=tenant)).secret
    ways = {action.path: action for action in SITE.actions}
    shown = form_for(ways["/book"], tenant.ids) | dict.fromkeys(("language", "hours", "timeZone", "label"), "")
    start = EpochMs(CLOCK.now() + 40 * DAY_MS)

    def minute(days: int) -> str:
        return rfc3339(EpochMs(start + days * DAY_MS))[:16]

    async def bookings() -> list[dict[str, Any]]:
        page = await ask(portal, "GET", "/portal", secret, Accept="application/json")
        found: list[dict[str, Any]] = json.loads(page.text)["data"]
        return found

    later = shown | {"startTime": minute(0), "key": "later", "screening": "none", "whisper": "no", "greeting": "no"}
    made = await act(portal, ways["/book"], secret, later | {"label": "Later"})
    assert (made.status, "Booked: the number is" in made.text) == (200, True), made.text
    [booking, _] = await bookings()
    assert booking["startTime"] == f"{minute(0)}:00.000Z"
    path, change = f"/portal/bookings/{booking['id']}", ways["/bookings/{id}/change"]

    async def texts() -> dict[str, str]:
        page = json.loads((await ask(portal, "GET", path, secret, Accept="application/json")).text)
        own = {name: page["booking"][name] or "" for name in ("label", "destination", "callback")}
        return {**own, **{name: text for name, text in page["texts"].items() if name != "refuseAnonymous"}}

    async def changed(**fields: str) -> PageAnswer:
        return await act(portal, change, secret, {"id": booking["id"], **await texts(), **fields})

    assert "Nothing to change" in (await changed()).text
    assert "Nothing to change" in (await changed(timeZone="Europe/Brussels")).text, "the page fills it in"
    assert (await changed(startTime=minute(2))).status == 200
    [moved, _] = await bookings()
    assert moved == booking | {"startTime": f"{minute(2)}:00.000Z", "endTime": moved["endTime"]}
    assert (instant_from(moved["endTime"]) or 0) - (instant_from(booking["endTime"]) or 0) == 2 * DAY_MS
    for fields, marked, said in (
        ({"hours": "mon 17:00-09:00", "timeZone": "UTC"}, ["hours"], "the first before the second"),
        ({"hours": "whenever"}, ["hours"], "is not like mon-fri 09:00-17:30."),
        (
            {"hours": "mon 09:00-17:00", "timeZone": "Mars"},
            ["timeZone"],
            "Is not a time zone, such as Europe/Brussels.",
        ),
        ({"startTime": "soon"}, ["startTime"], ""),
        ({"startTime": minute(400)}, [], "A booking cannot begin more than 365 days from now."),
        ({"destination": "+32"}, ["destination"], ""),
    ):
        answer = await changed(**fields)
        assert (answer.status, re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', answer.text)) == (422, marked)
        assert said in answer.text
    assert (await bookings())[0] == moved
    with patch.object(Policy, "speaks", new=False), patch.object(Policy, "may_assert_callers", new=False):
        assert (await changed(label="kept", reverse="yes")).status == 200, "it has reverse already"
        refused = await changed(whisper="yes")
        assert (refused.status, "has switched off what is spoken" in refused.text) == (422, True)


async def test_the_url_to_test_is_one_that_takes_callbacks(portal: Portal, receiver: CallbackReceiver) -> None:
    tenant = await portal.storage.run(a_tenant, "tries-urls", "+33612345680")
    secret = (await portal.session(of=tenant)).secret
    [send] = [each for each in SITE.actions if each.path == "/deliveries/test"]

    async def offered() -> str:
        answer = await ask(portal, "GET", "/portal/deliveries", secret, Accept="application/json")
        url: str = json.loads(answer.text)["testUrl"]
        return url

    assert await offered() == "", "its only URL is disabled"
    for answer, path in ((Answer(204), "/takes-them"), (Answer(500), "/refuses-them")):
        receiver.answer_with(answer)
        assert (await act(portal, send, secret, {"url": receiver.url + path})).status == 200
        assert await offered() == f"{receiver.url}/takes-them"


async def test_a_sandbox_has_a_portal_of_its_own_and_says_by_which_clock_times_are(
    portal: Portal, receiver: CallbackReceiver
) -> None:
    made = await portal.storage.run(create_key, portal.ours.name, PEPPER, CLOCK.now(), test=True)
    ids = await tried_out(portal, made.secret, receiver)
    link = await link_of(portal, replace(portal.ours, key=made.secret), scope="full")
    cookie = (await use(portal, link["url"])).headers["Set-Cookie"]
    secret = cookie.partition(";")[0].partition("=")[2]
    [rotate] = [each for each in SITE.actions if each.path == "/secret/rotate"]
    assert (await act(portal, rotate, secret, {"overlap": "week"})).status == 200
    marked = 0
    for page in SITE.pages:
        text = (await ask(portal, "GET", path_of(page, ids), secret)).text
        assert [mark for mark in portal.ours.marks if mark in text and mark != portal.ours.name] == []
        assert (clumsy_in(text), page.path) == ([], page.path)
        assert ("sandbox: simulated" in text or page.path.endswith("/print"), page.path) == (True, page.path)
        for shown, mark in re.findall(r'<time datetime="([^"]+)">[^<]*</time>( <em>real time</em>)?', text):
            is_real = (instant_from(shown) or 0) < CLOCK.now() + 100 * DAY_MS
            assert (bool(mark), page.path, shown) == (is_real, page.path, shown)
            marked += is_real
    assert marked > len(SITE.pages), "the search proves nothing"


async def tried_out(portal: Portal, key: str, receiver: CallbackReceiver) -> dict[str, str]:
    """Sets a sandbox's clock forward and makes a call there. Returns the ids of what there is."""
    headers = {"Authorization": f"Bearer {key}"}

    async def api(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with portal.client.request(method, portal.url + path, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    await api("POST", "/test/clock", {"advance": 366 * 86_400})
    wanted = {"destination": "+32470999999", "usagePlan": "SMALL", "callback": receiver.url}
    booking = await api("POST", "/bookings", wanted)
    call = {"service": booking["service"], "source": "+14155550123", "outcome": "answered", "seconds": 12}
    record = (await api("POST", "/test/calls", call))["cdr"]
    event = await api("POST", "/callbacks/test", {"url": receiver.url})
    return {"booking": booking["id"], "record": record["id"], "callback": event["id"]}
