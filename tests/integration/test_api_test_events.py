"""POST /callbacks/test: a signed event to a URL, once, and what came back; receivers are on real sockets."""

from typing import Any

import pytest
from aiohttp import ClientSession
from standardwebhooks import Webhook

from engine.accounts.lifecycle import suspend
from engine.callbacks import outbox
from engine.domain.event_kinds import TRIAL_MESSAGE
from engine.domain.ids import CallId
from engine.domain.times import EpochMs
from tests.integration.api_helpers import CALLBACK, TESTED, Api
from tests.integration.callback_api import delivering
from tests.integration.callback_fixtures import FAST, receiver
from tests.integration.callback_receiver import Answer, CallbackReceiver

__all__ = ["receiver"]
pytest_plugins = ["tests.integration.api_fixtures"]

# A loaded machine may take its time; the answer comes as soon as the attempt is over.
PATIENT = {"request_seconds": 30.0, "test_event_seconds": 20.0}
# How many reads of the log a test waits for.
READS = 2_000


async def send(client: ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    async with client.post("/callbacks/test", json={"url": url}) as answer:
        return answer.status, await answer.json()


async def get(client: ClientSession, path: str) -> dict[str, Any]:
    async with client.get(path) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


@pytest.mark.parametrize("key", ["ours", TESTED])
async def test_a_test_event_is_genuine_and_the_answer_says_what_came_back(
    api: Api, receiver: CallbackReceiver, key: str
) -> None:
    receiver.answer_with(Answer(202, body=b"thanks"))
    async with delivering(api, key, FAST, **PATIENT) as client:
        status, sent = await send(client, receiver.url)
        secret = (await get(client, "/webhook-secret"))["secret"]
        assert await get(client, f"/callbacks/{sent['id']}") == sent
        [listed] = (await get(client, "/callbacks"))["data"]
    [request] = receiver.requests
    event: Any = Webhook(secret).verify(request.body, dict(request.headers))
    assert event == {"type": "callback.test", "timestamp": sent["createdAt"], "message": TRIAL_MESSAGE}
    assert (status, request.event_id, sent["request"]["body"]) == (200, sent["id"], request.body.decode())
    [attempt] = sent["attempts"]
    assert (attempt["status"], attempt["trouble"], attempt["response"]) == (202, None, "thanks")
    for shown in (sent, listed):
        about = {name: shown[name] for name in ("bookingId", "test", "url", "state", "lastOutcome", "attemptCount")}
        assert about == {
            "bookingId": None,
            "test": True,
            "url": receiver.url,
            "state": "DELIVERED",
            "lastOutcome": "HTTP 202",
            "attemptCount": 1,
        }


async def test_a_failed_test_event_is_tried_once_and_neither_disables_its_url_nor_counts_for_it(
    api: Api, receiver: CallbackReceiver
) -> None:
    receiver.answer_with(Answer(410), Answer(503), Answer(reset=True))
    async with delivering(api, "ours", FAST, **PATIENT) as client:
        sent = [await send(client, receiver.url) for _ in range(3)]
        endpoints = (await get(client, "/callbacks/endpoints"))["data"]
        async with client.post(f"/callbacks/{sent[0][1]['id']}/redeliver") as answer:
            assert answer.status == 202
        await receiver.wait_for(4)
    assert [(status, body["state"], body["lastOutcome"]) for status, body in sent] == [
        (200, "FAILED", "HTTP 410"),
        (200, "FAILED", "HTTP 503"),
        (200, "FAILED", "connection failed"),
    ]
    assert (endpoints, len(receiver.requests)) == ([], 4)


async def test_a_slow_receiver_gets_202_and_the_log_has_its_answer_later(api: Api, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(204, delay=0.3))
    async with delivering(api, "ours", FAST) as client:
        status, sent = await send(client, receiver.url)
        assert (status, sent["state"], sent["attempts"]) == (202, "PENDING", [])
        for _ in range(READS):
            logged = await get(client, f"/callbacks/{sent['id']}")
            if logged["state"] != "PENDING":
                break
        assert (logged["state"], logged["lastOutcome"]) == ("DELIVERED", "HTTP 204")


async def test_a_test_event_to_a_disabled_url_is_held(api: Api, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(410))
    async with delivering(api, "ours", FAST, **PATIENT) as client:
        request = {"destination": "+32470123456", "usagePlan": "SMALL", "callback": receiver.url}
        async with client.post("/bookings", json=request) as answer:
            service = (await answer.json())["service"]
        await api.talk(service, CallId("call-1"), 1)
        for _ in range(READS):
            if (await get(client, "/callbacks/endpoints"))["data"]:
                break
        status, sent = await send(client, receiver.url)
    assert (status, sent["state"], sent["attempts"], len(receiver.requests)) == (200, "HELD", [], 1)


BAD = ["http://customer.example/", "ftp://customer.example/", "customer", "", "https://x.example/" + "a" * 2048]


async def test_only_urls_that_a_booking_may_have_are_tried(api: Api) -> None:
    for url in BAD:
        answer = await api.call("POST", "/callbacks/test", {"url": url})
        assert (answer.status, answer.body["errors"][0]["field"]) == (422, "url")
    assert (await api.call("GET", "/callbacks")).body["data"] == []


async def test_a_private_address_is_refused_before_anything_is_sent(api: Api) -> None:
    async with delivering(api, "ours", FAST) as client:
        for url in ("http://169.254.169.254/", "http://10.0.0.1:22/", "http://[fe80::1]/"):
            status, problem = await send(client, url)
            assert (status, problem["code"]) == (422, "callback_not_acceptable")


async def test_a_customer_has_ten_a_minute_its_sandbox_included(api: Api) -> None:
    sent = []
    for number in range(12):
        key = "ours" if number % 2 else TESTED
        sent.append((await api.call("POST", "/callbacks/test", {"url": CALLBACK}, account=key)).status)
    assert sent == [202] * 10 + [429] * 2
    answer = await api.call("POST", "/callbacks/test", {"url": CALLBACK})
    assert (answer.code, answer.headers["Retry-After"]) == ("too_many_tests", "6")
    assert (await api.call("POST", "/callbacks/test", {"url": CALLBACK}, account="theirs")).status == 202


async def test_a_test_event_has_the_pace_of_what_customers_cause_at_will(api: Api) -> None:
    sent = (await api.call("POST", "/callbacks/test", {"url": CALLBACK})).body
    now = EpochMs(api.clock.now())
    [(owner, _)] = await api.storage.run(outbox.accounts_waiting, "", 10)
    lined_up = await api.storage.run(outbox.line_up, [owner], now, EpochMs(now + 1), 10)
    [(queued, known)] = lined_up.callbacks
    assert (queued.event_id, queued.at_will, known.has_agreed) == (sent["id"], True, False)


async def test_a_suspended_account_sends_none(api: Api) -> None:
    await api.storage.run(suspend, "ours", "unpaid", api.clock.now())
    assert (await api.call("POST", "/callbacks/test", {"url": CALLBACK})).code == "account_suspended"
