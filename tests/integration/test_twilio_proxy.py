"""Twilio Proxy's API, used with Twilio's official client: what it offers here, what it refuses, and to whom."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from yarl import URL

from api.twilio_proxy import served
from api.twilio_proxy.forms import FORM
from api.twilio_proxy.place import KINDS, PARTICIPANTS, PHONE_NUMBERS, SERVICE, SERVICES, SESSION, SESSIONS
from engine.accounts.accounts import set_limits
from engine.accounts.lifecycle import suspend
from engine.bookings.shared_numbers import share
from engine.callbacks.attempt import attempt, open_session
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery
from engine.storage.transaction import Transaction
from engine.twilio_proxy.upkeep import sweep_sessions
from tests.contract.samples import ENDS
from tests.integration.api_helpers import (
    CALLBACK,
    DAY,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    POLICY,
    SECOND,
    TESTED,
    THEIRS_TESTED,
    Api,
)
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.callback_sending import DEMO, TLS
from tests.integration.twilio_client import TwilioClient, twilio_client

pytest_plugins = ["tests.integration.api_fixtures"]

THIRD = "+33199007000"
PAIR = f"""participants=[{{"Identifier": "{HIDDEN}", "FriendlyName": "Ann"}}, {{"Identifier": "{OTHER_HIDDEN}"}}]"""
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def program() -> Iterator[TwilioClient]:
    with twilio_client() as started:
        yield started


@pytest.fixture
async def client(api: Api, program: TwilioClient) -> TwilioClient:
    for number in NUMBERS[:3]:
        await api.storage.run(share, number)
    users = {}
    for name, key in api.keys.items():
        account = (await api.call("GET", "/account", account=name)).body
        users[name] = (account["id"].replace("acc_", "AC"), key)
    users["wrong key"] = (users["ours"][0], api.keys["ours"][:-1] + ("B" if api.keys["ours"].endswith("A") else "A"))
    users["their key"] = (users["ours"][0], api.keys["theirs"])
    users["no account"] = ("ours", api.keys["ours"])
    users["their sandbox"] = (users["theirs"][0], api.keys[THEIRS_TESTED])
    users["their sandbox, rightly"] = users[THEIRS_TESTED]
    program.base, program.users = str(api.client.make_url("/twilio-proxy")), users
    return program


async def called(api: Api, service: str, caller: str, call_id: str, seconds: int) -> Any:
    """A call of a participant. Returns the decision."""
    incoming = IncomingCall(CallId(call_id), E164(service), caller, asserted=E164(caller))
    decision = await api.storage.run(route_call, incoming, api.clock.timestamp(), POLICY)
    if isinstance(decision, Bridge) and seconds:
        booking_id = decision.booking.id
        report = AnswerReport(CallId(call_id), booking_id, f"{call_id}-callee", 60)
        await api.storage.run(note_answer, report, api.clock.timestamp())
        api.clock.advance(seconds * SECOND)
        end = EndReport(CallId(call_id), booking_id, seconds * SECOND, ENDS["ANSWER"])
        await api.storage.run(call_ended, end, api.clock.timestamp(), POLICY)
    return decision


async def paired(client: TwilioClient, user: str = "ours", **more: str) -> tuple[str, dict[str, Any]]:
    """Returns the expression of a session with two participants, and the session."""
    service = await client.made(f"services.create(unique_name='shop', callback_url='{CALLBACK}')", user)
    fields = ", ".join([PAIR, *(f"{name}={value}" for name, value in more.items())])
    session = await client.made(f"services('{service['sid']}').sessions.create({fields})", user)
    return f"services('{service['sid']}').sessions('{session['sid']}')", session


async def test_two_participants_join_a_session_call_each_other_and_are_closed(api: Api, client: TwilioClient) -> None:
    service = await client.made("services.create(unique_name='shop', default_ttl=0)")
    assert (service["account_sid"], service["unique_name"]) == (client.users["ours"][0], "shop")
    assert await client.made(f"services('{service['sid']}').fetch()") == service
    sessions = f"services('{service['sid']}').sessions"
    session = await client.made(f"{sessions}.create(unique_name='order 1871')")
    assert (session["status"], session["mode"], session["date_expiry"]) == ("open", "voice-only", None)
    it = f"{sessions}('{session['sid']}')"
    ann = await client.made(f"{it}.participants.create(identifier='{HIDDEN}', friendly_name='Ann')")
    assert (ann["identifier"], ann["friendly_name"], ann["proxy_identifier"]) == (HIDDEN, "Ann", None)
    ben = await client.made(f"{it}.participants.create(identifier='{OTHER_HIDDEN}')")
    assert ben["proxy_identifier"] in NUMBERS[:3]
    assert (await api.call("GET", "/bookings")).body["data"][0]["callback"] == ""
    joined = {"proxy_identifier": ben["proxy_identifier"], "proxy_identifier_sid": ben["proxy_identifier_sid"]}
    assert await client.made(f"{it}.participants.list()") == [ann | joined, ben]
    assert await client.made(f"{it}.participants('{ann['sid']}').fetch()") == ann | joined

    assert isinstance(await called(api, ben["proxy_identifier"], HIDDEN, "c1", 5), Bridge)
    api.clock.advance(MINUTE)
    await called(api, ben["proxy_identifier"], OTHER_HIDDEN, "c2", 7)
    newest, oldest = await client.made(f"{it}.interactions.list()")
    assert [json.loads(each["data"]) for each in (oldest, newest)] == [{"duration": "5"}, {"duration": "7"}]
    assert (oldest["inbound_participant_sid"], oldest["outbound_participant_sid"]) == (ann["sid"], ben["sid"])
    assert (newest["inbound_participant_sid"], newest["outbound_participant_sid"]) == (ben["sid"], ann["sid"])
    assert (newest["type"], newest["outbound_resource_status"]) == ("voice", "completed")
    assert await client.made(f"{it}.interactions('{newest['sid']}').fetch()") == newest
    now = await client.made(f"{it}.fetch()")
    assert (now["status"], now["date_last_interaction"]) == ("in-progress", newest["date_created"])

    closed = await client.made(f"{it}.update(status='closed')")
    assert (closed["status"], closed["closed_reason"]) == ("closed", "api")
    assert closed["date_ended"] == closed["date_updated"]
    assert not isinstance(await called(api, ben["proxy_identifier"], HIDDEN, "c3", 1), Bridge)
    again = await client.made(f"{it}.update(status='in-progress')")
    assert (again["status"], again["date_expiry"]) == ("in-progress", now["date_expiry"])
    assert isinstance(await called(api, ben["proxy_identifier"], HIDDEN, "c4", 1), Bridge)

    assert await client.ask(f"{it}.delete()") is True
    assert (await client.ask(f"{it}.fetch()"))["code"] == 20404
    assert not isinstance(await called(api, ben["proxy_identifier"], HIDDEN, "c5", 1), Bridge)
    assert await client.ask(f"services('{service['sid']}').delete()") is True
    assert await client.made("services.list()") == []


async def test_the_numbers_of_a_service_are_those_of_its_sessions(api: Api, client: TwilioClient) -> None:
    it, session = await paired(client)
    [number] = await client.made(f"services('{session['service_sid']}').phone_numbers.list()")
    assert (number["phone_number"], number["in_use"], number["iso_country"]) == (NUMBERS[0], 1, "BE")
    assert (number["capabilities"]["voice_inbound"], number["capabilities"]["sms_inbound"]) == (True, False)
    found = await client.made(f"services('{session['service_sid']}').phone_numbers('{number['sid']}').fetch()")
    assert found == number
    [ann, _] = await client.made(f"{it}.participants.list()")
    assert ann["proxy_identifier_sid"] == number["sid"]
    wanted = await client.made(f"services('{session['service_sid']}').sessions.create()")
    other = f"services('{session['service_sid']}').sessions('{wanted['sid']}')"
    await client.made(f"{other}.participants.create('{THIRD}', proxy_identifier='{NUMBERS[2]}')")
    clash = await client.ask(f"{other}.participants.create('{HIDDEN}', proxy_identifier='{NUMBERS[1]}')")
    assert (clash["status"], clash["code"]) == (409, 80604)
    joined = await client.made(f"{other}.participants.create('{HIDDEN}', proxy_identifier='{NUMBERS[2]}')")
    assert joined["proxy_identifier"] == NUMBERS[2]
    sid = joined["proxy_identifier_sid"]
    assert (await client.made(f"services('{session['service_sid']}').phone_numbers('{sid}').fetch()"))["in_use"] == 1


async def test_a_session_is_a_booking_of_the_account(api: Api, client: TwilioClient) -> None:
    _, session = await paired(client, unique_name="'order 1'")
    [booking] = (await api.call("GET", f"/bookings?metadata[sessionSid]={session['sid']}")).body["data"]
    assert [each["number"] for each in booking["participants"]] == [HIDDEN, OTHER_HIDDEN]
    assert (booking["usagePlan"], booking["callback"], booking["callerId"]) == ("LARGE", CALLBACK, "service")
    assert booking["metadata"] == {"serviceSid": session["service_sid"], "sessionSid": session["sid"]}


async def test_a_time_to_live_counts_from_the_last_call(api: Api, client: TwilioClient) -> None:
    it, _ = await paired(client, ttl="600")
    [ann, _] = await client.made(f"{it}.participants.list()")
    number = ann["proxy_identifier"]
    api.clock.advance(599 * SECOND)
    assert isinstance(await called(api, number, HIDDEN, "c1", 0), Bridge)
    [booking_id] = await api.storage.run(sweep_sessions, api.clock.now(), POLICY)
    assert (await client.made(f"{it}.fetch()"))["status"] == "in-progress"
    end = EndReport(CallId("c1"), booking_id, 0, ENDS["BUSY"])
    await api.storage.run(call_ended, end, api.clock.timestamp(), POLICY)
    for advance, is_open in ((599 * SECOND, True), (2 * SECOND, False)):
        api.clock.advance(advance)
        assert await api.storage.run(sweep_sessions, api.clock.now(), POLICY) == []
        found = await client.made(f"{it}.fetch()")
        assert (found["status"] == "in-progress", found["closed_reason"]) == (is_open, None if is_open else "expired")
    assert not isinstance(await called(api, number, HIDDEN, "c2", 1), Bridge)
    reopened = await client.made(f"{it}.update(status='open')")
    assert (reopened["status"], reopened["closed_reason"]) == ("in-progress", None)
    assert isinstance(await called(api, number, HIDDEN, "c3", 1), Bridge)


async def test_a_date_of_expiry_closes_a_session_to_the_millisecond(api: Api, client: TwilioClient) -> None:
    expiry = "datetime(2026, 3, 1, 13, tzinfo=utc)"
    it, session = await paired(client, date_expiry=expiry, ttl="1")
    assert session["date_expiry"] == "2026-03-01T13:00:00+00:00"
    [ann, _] = await client.made(f"{it}.participants.list()")
    api.clock.advance(60 * MINUTE - 1)
    assert isinstance(await called(api, ann["proxy_identifier"], HIDDEN, "c1", 0), Bridge)
    api.clock.advance(1)
    assert not isinstance(await called(api, ann["proxy_identifier"], OTHER_HIDDEN, "c2", 1), Bridge)
    refused = await client.ask(f"{it}.update(status='open')")
    assert (refused["status"], refused["code"]) == (400, 80801)
    later = await client.made(f"{it}.update(status='open', date_expiry=datetime(2026, 3, 2, tzinfo=utc))")
    assert (later["status"], later["date_expiry"]) == ("in-progress", "2026-03-02T00:00:00+00:00")
    api.clock.advance(POLICY.grace_ms + 2 * DAY)
    gone = await client.ask(f"{it}.update(status='open', date_expiry=datetime(2026, 3, 20, tzinfo=utc))")
    assert (gone["status"], gone["code"]) == (400, 80801)


async def sent(api: Api, client: TwilioClient) -> list[tuple[str, dict[str, str]]]:
    """Deliver what is due to a receiver. Returns the host that it was meant for, and the fields of each form.

    Twilio's own validator must accept the signature.
    """
    secret = (await api.call("GET", "/webhook-secret")).body["secret"]
    found = []
    async with CallbackReceiver() as receiver, open_session(rules=DEMO, lookups_at_once=2, tls=TLS) as session:
        for delivery in await api.storage.run(begun, EpochMs(api.clock.now())):
            to_us = replace(delivery, url=receiver.url)
            await attempt(session, to_us, now=api.clock.now(), timeout_ms=5_000, rules=DEMO)
            request = receiver.requests[-1]
            assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
            fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
            arguments = f"{receiver.url!r}, {fields!r}, {request.headers['X-Twilio-Signature']!r}"
            assert await client.ask(f"RequestValidator({secret!r}).validate({arguments})") is True
            assert await client.ask(f"RequestValidator('another').validate({arguments})") is False
            shown = (await api.call("GET", f"/callbacks/{delivery.id}")).body["request"]
            assert (shown["headers"]["Content-Type"], shown["body"]) == (FORM, request.body.decode())
            found.append((delivery.url, fields))
    return found


def begun(tx: Transaction, now: EpochMs) -> list[Delivery]:
    [(account_id, _)] = tx.outbox.accounts_waiting("", 100)
    due = tx.outbox.line_up_due(account_id, now, EpochMs(now + 1), 100).due
    return [each for one in due if (each := tx.outbox.begin(one.event_id, one.attempts, now + 1))]


async def test_webhooks_are_forms_with_twilios_signature(api: Api, client: TwilioClient) -> None:
    it, session = await paired(client, unique_name="'order é'")
    [ann, ben] = await client.made(f"{it}.participants.list()")
    out_of_session = "https://customer.example/out"
    service = f"services('{session['service_sid']}')"
    await client.made(f"{service}.update(out_of_session_callback_url='{out_of_session}')")
    await called(api, ann["proxy_identifier"], HIDDEN, "c1", 5)
    incoming = await called(api, ann["proxy_identifier"], OTHER_HIDDEN, "c2", 0)
    await api.storage.run(
        call_ended, EndReport(CallId("c2"), incoming.booking.id, 0, ENDS["BUSY"]), api.clock.timestamp(), POLICY
    )
    await client.made(f"{it}.update(status='closed')")
    await called(api, ann["proxy_identifier"], OTHER_HIDDEN, "c3", 0)
    [(url, answered), (_, busy), (out_url, outside)] = await sent(api, client)
    [_, call] = await client.made(f"{it}.interactions.list()")
    assert (url, out_url) == (CALLBACK, out_of_session)
    for name in ("sid", "session_sid", "service_sid", "account_sid", "data"):
        assert answered["interaction" + name.title().replace("_", "")] == call[name]
    for side in ("inbound", "outbound"):
        assert answered[f"{side}ParticipantSid"] == call[f"{side}_participant_sid"]
    assert (answered["outboundResourceStatus"], busy["outboundResourceStatus"]) == ("completed", "busy")
    assert (busy["inboundParticipantSid"], busy["outboundParticipantSid"]) == (ben["sid"], ann["sid"])
    assert (outside["From"], outside["To"]) == (OTHER_HIDDEN, ann["proxy_identifier"])
    assert (outside["sessionSid"], outside["sessionStatus"]) == (session["sid"], "closed")
    assert (outside["sessionClosedReason"], outside["sessionUniqueName"]) == ("api", "order é")
    assert (outside["inboundParticipantSid"], outside["outboundParticipantSid"]) == (ben["sid"], ann["sid"])
    assert (outside["outboundParticipantIdentifier"], outside["outboundParticipantFriendlyName"]) == (HIDDEN, "Ann")
    await client.made(f"{service}.update(out_of_session_callback_url='', callback_url='')")
    await called(api, ann["proxy_identifier"], OTHER_HIDDEN, "c4", 0)
    posted = await api.storage.run(lambda tx: tx.outbox._db.execute("SELECT COUNT(*) FROM outbox").fetchone()[0])
    assert posted == 3


async def test_sessions_that_nobody_joins_are_deleted(api: Api, client: TwilioClient) -> None:
    service = await client.made("services.create(unique_name='shop')")
    session = await client.made(f"services('{service['sid']}').sessions.create()")
    it = f"services('{service['sid']}').sessions('{session['sid']}')"
    first = await client.made(f"{it}.participants.create('{HIDDEN}')")
    assert await client.ask(f"{it}.participants('{first['sid']}').delete()") is True
    await client.made(f"{it}.participants.create('{HIDDEN}')")
    future = EpochMs(4_000_000_000_000)  # ids are made by the machine's clock
    await api.storage.run(sweep_sessions, future, POLICY)
    assert (await client.ask(f"{it}.fetch()"))["code"] == 20404
    assert await api.storage.run(lambda tx: tx.twilio_proxy.participants(session["sid"])) == []


async def test_lists_are_paged_as_the_client_pages_them(client: TwilioClient) -> None:
    service = await client.made("services.create(unique_name='shop')")
    sessions = f"services('{service['sid']}').sessions"
    made = [(await client.made(f"{sessions}.create(unique_name='{number}')"))["sid"] for number in range(5)]
    assert [each["sid"] for each in await client.made(f"{sessions}.list(page_size=2)")] == made[::-1]
    assert [each["sid"] for each in await client.made(f"{sessions}.list(limit=3)")] == made[:1:-1]
    more = [(await client.made(f"services.create(unique_name='{number}')"))["sid"] for number in range(2)]
    assert [each["sid"] for each in await client.made("services.list(page_size=1)")] == [*more[::-1], service["sid"]]


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
