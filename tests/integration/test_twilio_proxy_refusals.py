"""Twilio Proxy's API: what it refuses, in Twilio's form, and to whom."""

import base64
import json
from typing import Any

import pytest
from yarl import URL

from api.twilio_proxy import served
from api.twilio_proxy.place import KINDS, PARTICIPANTS, PHONE_NUMBERS, SERVICE, SERVICES, SESSION, SESSIONS
from engine.accounts.accounts import set_limits
from engine.accounts.lifecycle import suspend
from tests.integration.api_helpers import (
    HIDDEN,
    TESTED,
    Api,
)
from tests.integration.twilio_client import TwilioClient
from tests.integration.twilio_helpers import PAIR, called, paired

pytest_plugins = ["tests.integration.api_fixtures", "tests.integration.twilio_fixtures"]

# Expressions with {service} and {session}, and the status, the code and a word of the answer.
REFUSALS = {
    "services.create(unique_name='shop')": (409, 80603, "unique"),
    "services.create(unique_name='')": (400, 80701, "UniqueName"),
    "services.create(unique_name='x' * 192)": (400, 80701, "UniqueName"),
    "services.create(unique_name='x', chat_instance_sid='IS' + 'a' * 32)": (501, 501, "messages"),
    "services.create(unique_name='x', intercept_callback_url='https://customer.example')": (501, 501, "Intercept"),
    "services.create(unique_name='x', geo_match_level='radius')": (501, 501, "pool"),
    "services.create(unique_name='x', number_selection_behavior='avoid-sticky')": (501, 501, "pool"),
    "services.create(unique_name='x', callback_url='http://customer.example')": (400, 80701, "CallbackUrl"),
    "services.create(unique_name='x', default_ttl=-1)": (400, 80701, "DefaultTtl"),
    "{service}.delete()": (409, 409, "Sessions"),
    "{service}.phone_numbers.create(sid='PN' + 'a' * 32)": (501, 501, "pool"),
    "{service}.phone_numbers('PN' + 'f' * 21 + '32255500009').fetch()": (404, 20404, "not found"),
    "{service}.phone_numbers('PN' + 'a' * 32).delete()": (501, 501, "pool"),
    "{service}.sessions.create(mode='voice-and-message')": (501, 501, "Messages"),
    "{service}.sessions.create(mode='x')": (400, 80701, "Mode"),
    "{service}.sessions.create(status='closed')": (400, 80701, "Status"),
    "{service}.sessions.create(unique_name='order')": (409, 80603, "unique"),
    "{service}.sessions.create(ttl=10**9)": (400, 80701, "Ttl"),
    "{service}.sessions.create(date_expiry=datetime(2026, 3, 1, 11))": (400, 80701, "DateExpiry"),
    "{service}.sessions.create(date_expiry=datetime(2026, 12, 1))": (400, 80701, "DateExpiry"),
    "{service}.sessions.create(participants=[{{'Identifier': '+32470123456', 'x': ''}}])": (400, 80701, "Participants"),
    "{service}.sessions.create(participants=[{{'Identifier': '+32470123456', 'FriendlyName': '\\ud800'}}])": (
        400, 80701, "Participants",
    ),
    "{service}.sessions.create(participants=[{{'Identifier': '+3247012345' + n}} for n in '678'])": (
        400, 80609, "2 participants",
    ),
    "{session}.participants.create('+32470123456')": (409, 80103, "already"),
    "{session}.participants.create('+33199007000')": (400, 80609, "2 participants"),
    "{session}.participants('KP' + 'a' * 32).delete()": (404, 20404, "not found"),
    "{session}.participants({session}.participants.list()[0].sid).delete()": (409, 409, "stay"),
    "{session}.interactions('KI' + 'a' * 32).fetch()": (404, 20404, "not found"),
    "{session}.interactions('KI' + 'a' * 32).delete()": (501, 501, "retention"),
    "{session}.participants('KP' + 'a' * 32).message_interactions.create(body='x')": (501, 501, "Messages"),
    "{session}.participants('KP' + 'a' * 32).message_interactions.list()": (501, 501, "Messages"),
    "{session}.update(status='failed')": (400, 80701, "Status"),
    "{service}.sessions('KC' + 'a' * 32).fetch()": (404, 20404, "not found"),
    "{service}.sessions('order').fetch()": (404, 20404, "not found"),
    "services('KS' + 'a' * 32).fetch()": (404, 20404, "not found"),
}  # fmt: skip


async def test_what_is_refused_and_what_does_not_exist_says_so(client: TwilioClient) -> None:
    it, session = await paired(client, unique_name="'order'")
    service = f"services('{session['service_sid']}')"
    before = await client.made(f"{it}.fetch()")
    for expression, expected in REFUSALS.items():
        answer = await client.ask(expression.format(service=service, session=it))
        assert (answer["status"], answer["code"]) == expected[:2], (expression, answer)
        assert expected[2] in answer["msg"], answer
        assert HIDDEN not in answer["msg"]
    assert await client.made(f"{it}.fetch()") == before
    assert len(await client.made(f"{service}.sessions.list()")) == 1
    lone = await client.made(f"{service}.sessions.create()")
    for number, code in (("12", 80701), ("+3247012345678", 80701), ("+3290012345", 80701)):
        refused = await client.ask(f"{service}.sessions('{lone['sid']}').participants.create('{number}')")
        assert refused["code"] == code, refused


RAW: dict[str, tuple[dict[str, Any], int, int]] = {
    "an unknown field": ({"data": "UniqueName=x&Colour=red"}, 400, 20001),
    "a repeated field": ({"data": "UniqueName=x&UniqueName=y"}, 400, 80701),
    "no field": ({"data": ""}, 400, 80701),
    "JSON": ({"data": "{}", "headers": {"Content-Type": "application/json"}}, 415, 415),
    "compressed": ({"data": "x", "headers": {"Content-Encoding": "gzip"}}, 415, 415),
    "not UTF-8": ({"data": "UniqueName=%ff"}, 400, 20001),
    "many fields": ({"data": "&".join(f"a{n}=1" for n in range(31))}, 400, 20001),
    "too much": ({"data": "UniqueName=" + "x" * 70_000}, 413, 413),
    "control characters": ({"data": "UniqueName=a%0Ab"}, 400, 80701),
}


async def raw(api: Api, client: TwilioClient, method: str, path: str, user: str = "ours", **options: Any) -> Any:
    credentials = base64.b64encode(":".join(client.users[user]).encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
    headers |= options.pop("headers", {})
    async with api.client.request(method, URL(path, encoded=True), headers=headers, **options) as answer:
        return answer.status, await answer.text(), answer.headers


@pytest.mark.parametrize("case", RAW)
async def test_a_form_that_is_none_is_refused_in_twilios_form(api: Api, client: TwilioClient, case: str) -> None:
    options, status, code = RAW[case]
    answered, text, _ = await raw(api, client, "POST", SERVICES, **options)
    body = json.loads(text)
    assert (answered, body["status"], body["code"]) == (status, status, code), text
    assert set(body) == {"code", "message", "more_info", "status"}
    assert body["more_info"].startswith("https://www.twilio.com/docs/errors/" if code > 9_999 else "docs/twilio-proxy")
    assert await client.made("services.list()") == []


PATHS = sorted({route.path for route in served.ROUTES})
UNKNOWN = {name: kind + "0" * 32 for name, (kind, _) in KINDS.items()}
# A form for each route that reads one.
FORMS = {
    SERVICES: "UniqueName=x",
    SERVICE: "DefaultTtl=7",
    SESSIONS: "UniqueName=x",
    SESSION: "Status=closed",
    PARTICIPANTS: "Identifier=%2B33199007000",
}


async def test_other_paths_and_methods_are_refused_in_twilios_form(api: Api, client: TwilioClient) -> None:
    for path in PATHS:
        methods = {route.method for route in served.ROUTES if route.path == path}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - methods:
            status, text, headers = await raw(api, client, method, path.format(**UNKNOWN))
            assert (status, json.loads(text)["code"]) == (405, 20004)
            assert set(headers["Allow"].split(",")) == methods | ({"HEAD"} if "GET" in methods else set())
    status, text, _ = await raw(api, client, "GET", f"{SERVICES}/{UNKNOWN['service']}/ShortCodes")
    assert (status, json.loads(text)["code"]) == (404, 20404)
    for query in ("Colour=red", "PageSize=0", "PageSize=x", "PageToken=x", "Page=-1", "Page=1&Page=2"):
        status, text, _ = await raw(api, client, "GET", f"{SERVICES}?{query}")
        assert (status, json.loads(text)["code"] in {20001, 80701}) == (400, True), query


async def test_no_route_answers_without_the_accounts_own_key(api: Api, client: TwilioClient) -> None:
    for route in served.ROUTES:
        async with api.client.request(route.method, route.path.format(**UNKNOWN)) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 20003)
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="Twilio API"'
    bearer = {"Authorization": f"Bearer {api.keys['ours']}"}
    assert (await raw(api, client, "GET", SERVICES, headers=bearer))[0] == 401
    for user in ("wrong key", "their key", "no account", "their sandbox"):
        assert (await client.ask("services.list()", user))["code"] == 20003
    credentials = base64.b64encode(":".join(client.users["ours"]).encode()).decode()
    basic = {"Authorization": f"Basic {credentials}"}
    assert (await api.call("GET", "/bookings", account=None, headers=basic)).status == 401
    assert len(api.refusals) == 6  # each is in the security log, and counts
    while (await client.ask("services.list()", "wrong key"))["status"] == 401:
        pass
    assert (await client.ask("services.list()", "wrong key"))["code"] == 20429
    assert await client.made("services.list()") == []


async def everything(client: TwilioClient, it: str) -> list[Any]:
    service = it.partition(".")[0]
    lists = ("participants", "interactions")
    return [
        *[await client.made(f"{each}.fetch()", "theirs") for each in (service, it)],
        *[await client.made(f"{it}.{each}.list()", "theirs") for each in lists],
        *[await client.made(f"{service}.{each}.list()", "theirs") for each in ("sessions", "phone_numbers")],
    ]


async def test_another_accounts_sids_answer_exactly_like_unknown_ones(api: Api, client: TwilioClient) -> None:
    it, session = await paired(client, "theirs")
    [ann, _] = await client.made(f"{it}.participants.list()", "theirs")
    await called(api, ann["proxy_identifier"], HIDDEN, "c1", 5)
    [call] = await client.made(f"{it}.interactions.list()", "theirs")
    theirs = UNKNOWN | {
        "service": session["service_sid"],
        "session": session["sid"],
        "participant": ann["sid"],
        "interaction": call["sid"],
        "number": ann["proxy_identifier_sid"],
    }
    before = await everything(client, it)
    mine = await client.made("services.create(unique_name='shop')")
    for user in ("ours", "their sandbox, rightly"):
        for route in served.ROUTES:
            answers = []
            for sids in (theirs, UNKNOWN, theirs | {"service": mine["sid"]}):
                path, data = route.path.format(**sids), FORMS.get(route.path, "")
                if "{" not in route.path or (route.path == SERVICE and sids["service"] == mine["sid"]):
                    continue
                if route.path in {SESSIONS, PHONE_NUMBERS} and sids["service"] == mine["sid"]:
                    continue
                status, text, _ = await raw(api, client, route.method, path, user, data=data or None)
                answers.append((status, text))
            assert len(set(answers)) <= 1, answers
            assert all(status in {404, 501} for status, _ in answers)
    assert await everything(client, it) == before
    assert api.asterisk.hung_up == []


async def test_a_sandbox_has_sessions_of_its_own(api: Api, client: TwilioClient) -> None:
    it, _ = await paired(client, TESTED)
    [ann, ben] = await client.made(f"{it}.participants.list()", TESTED)
    assert ann["proxy_identifier"] == ben["proxy_identifier"]
    assert ann["proxy_identifier"].startswith("+999")
    call = {
        "service": ann["proxy_identifier"],
        "source": HIDDEN,
        "outcome": "answered",
        "seconds": 3,
        "direction": "pair",
    }
    assert (await api.call("POST", "/test/calls", call, account=TESTED)).status == 200
    [interaction] = await client.made(f"{it}.interactions.list()", TESTED)
    assert interaction["inbound_participant_sid"] == ann["sid"]
    assert await client.made("services.list()") == []
    await client.made(f"{it}.update(ttl=3600)", TESTED)
    for advance, status in ((3_590, "in-progress"), (10, "closed")):
        assert (await api.call("POST", "/test/clock", {"advance": advance}, account=TESTED)).status == 200
        assert (await client.made(f"{it}.fetch()", TESTED))["status"] == status


async def test_suspended_accounts_and_quotas_are_refused_as_elsewhere(api: Api, client: TwilioClient) -> None:
    service = await client.made("services.create(unique_name='shop')")
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 1})
    sessions = f"services('{service['sid']}').sessions"
    await client.made(f"{sessions}.create({PAIR})")
    refused = await client.ask(f"{sessions}.create({PAIR})")
    assert (refused["status"], refused["code"]) == (429, 429)
    assert len(await client.made(f"{sessions}.list()")) == 1  # nothing of the refused one stays
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 9})
    for _ in range(2):
        await client.made(f"{sessions}.create({PAIR})")
    none_left = await client.ask(f"{sessions}.create({PAIR})")
    assert (none_left["status"], none_left["code"]) == (503, 80206)
    await api.storage.run(suspend, "ours", "unpaid", api.clock.now())
    assert (await client.ask("services.list()"))["code"] == 20005
