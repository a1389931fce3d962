"""Twilio Proxy's API, used with Twilio's official client: what it offers here."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl

from api.twilio_proxy.forms import FORM
from engine.callbacks.attempt import attempt, open_session
from engine.calls.lifecycle import call_ended
from engine.calls.reports import EndReport
from engine.domain.ids import CallId
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery
from engine.storage.transaction import Transaction
from tests.contract.samples import ENDS
from tests.integration.api_helpers import (
    CALLBACK,
    DAY,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    POLICY,
    SECOND,
    Api,
)
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.callback_sending import DEMO, TLS
from tests.integration.twilio_client import TwilioClient
from tests.integration.twilio_helpers import MINUTE, THIRD, called, paired, swept

pytest_plugins = ["tests.integration.api_fixtures", "tests.integration.twilio_fixtures"]


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
    [booking_id] = await swept(api)
    assert (await client.made(f"{it}.fetch()"))["status"] == "in-progress"
    end = EndReport(CallId("c1"), booking_id, 0, ENDS["BUSY"])
    await api.storage.run(call_ended, end, api.clock.timestamp(), POLICY)
    for advance, is_open in ((599 * SECOND, True), (2 * SECOND, False)):
        api.clock.advance(advance)
        assert await swept(api) == []
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
    await swept(api, future)
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
