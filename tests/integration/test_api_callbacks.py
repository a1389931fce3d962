"""/callbacks, /callbacks/endpoints and /webhook-secret for their own account."""

import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook

from engine.callbacks.attempt import HEADERS
from engine.callbacks.signing import signature_headers
from engine.domain.ids import CallId
from engine.domain.retry import HttpAnswer, NoAnswer, Trouble
from engine.domain.times import EpochMs
from tests.integration.api_helpers import CALLBACK, START, Api
from tests.integration.callback_sending import attempt_due

pytest_plugins = ["tests.integration.api_fixtures"]

HOUR = 3_600_000
OTHER = "https://other.example/calls"


async def told(api: Api, count: int = 1, account: str = "ours", **booking: Any) -> str:
    """Make a booking with `count` callbacks, an hour apart, and return its id."""
    booked = await api.book(account=account, usagePlan="LARGE", **booking)
    for number in range(count):
        await api.talk(booked["service"], CallId(f"{booked['id']}-{number}"), 1)
        api.clock.advance(HOUR)
    return str(booked["id"])


async def tried(api: Api, outcome: Any = HttpAnswer(204), response: str = "") -> list[str]:  # noqa: B008  frozen
    return await api.storage.run(attempt_due, EpochMs(api.clock.now()), outcome, response)


async def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.call("GET", f"/callbacks{query}")).body["data"]
    return found


async def test_a_callback_shows_its_body_and_every_attempt(api: Api) -> None:
    booking_id = await told(api)
    [callback_id] = await tried(api, HttpAnswer(503), "down")
    api.clock.advance(5_000)
    await tried(api, NoAnswer(Trouble.TIMEOUT))
    body = (await api.call("GET", f"/callbacks/{callback_id}")).body
    assert {name: body[name] for name in ("id", "bookingId", "url", "state", "attemptCount", "lastOutcome")} == {
        "id": callback_id,
        "bookingId": booking_id,
        "url": CALLBACK,
        "state": "PENDING",
        "attemptCount": 2,
        "lastOutcome": "timeout",
    }
    assert body["nextAttemptAt"] == "2026-03-01T13:00:05.010Z"
    assert [
        (each["attempt"], each["beganAt"], each["tookMs"], each["status"], each["trouble"], each["response"])
        for each in body["attempts"]
    ] == [
        (1, "2026-03-01T13:00:00.000Z", 5, 503, None, "down"),
        (2, "2026-03-01T13:00:05.000Z", 5, None, "timeout", ""),
    ]
    sent = body["request"]
    assert (sent["method"], sent["url"]) == ("POST", CALLBACK)
    assert sent["headers"] == HEADERS | {"webhook-id": callback_id}
    assert json.loads(sent["body"])["sequence"] == 1


async def test_the_logged_request_verifies_with_the_current_secret(api: Api) -> None:
    await told(api)
    [callback_id] = await tried(api)
    sent = (await api.call("GET", f"/callbacks/{callback_id}")).body["request"]
    secret = (await api.call("GET", "/webhook-secret")).body["secret"]
    now = time.time_ns() // 1_000_000
    Webhook(secret).verify(sent["body"], signature_headers(callback_id, (secret,), sent["body"], EpochMs(now)))


async def test_callbacks_are_listed_newest_first_and_can_be_filtered(api: Api) -> None:
    first = await told(api, 3)
    await tried(api)
    second = await told(api, 2, callback=OTHER)
    await tried(api, HttpAnswer(410))
    theirs = await told(api, 1, account="theirs")
    assert [each["bookingId"] for each in await listed(api)] == [second] * 2 + [first] * 3
    assert [each["createdAt"][11:13] for each in await listed(api)] == ["16", "15", "14", "13", "12"]
    assert [each["bookingId"] for each in await listed(api, f"?bookingId={first}")] == [first] * 3
    assert [each["state"] for each in await listed(api, "?state=DELIVERED")] == ["DELIVERED"] * 3
    assert await listed(api, f"?state=FAILED&bookingId={first}") == []
    for state in ("", "state=PENDING&"):
        assert await listed(api, f"?{state}bookingId={theirs}") == [], "another account's"
    between = await listed(api, "?from=2026-03-01T13:00:00Z&to=2026-03-01T17:00:00%2B02:00")
    assert [each["createdAt"][11:13] for each in between] == ["14", "13"]
    shown = await listed(api, "?to=0001-01-01T00:00:00Z")
    assert shown == []


async def test_pages_neither_skip_nor_repeat_while_callbacks_come_and_change(api: Api) -> None:
    await told(api, 6)
    seen, query = list[str](), "?limit=2"
    while query:
        page = (await api.call("GET", f"/callbacks{query}")).body
        seen += [each["id"] for each in page["data"]]
        await told(api, 1)
        await tried(api)
        query = f"?limit=2&cursor={page['nextCursor']}" if page["hasMore"] else ""
    assert len(seen) == len(set(seen)) == 6
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "state=GONE",
        "state=",
        "bookingId=x",
        "bookingId=",
        "from=yesterday",
        "to=2026-02-30T00:00:00Z",
        "from=2026-03-01T00:00:01Z&to=2026-03-01T00:00:00Z",
    ],
)
async def test_a_bad_filter_is_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/callbacks?{query}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.body["errors"][0]["field"] == query.partition("=")[0]


async def test_a_callback_is_sent_again_once_a_minute_and_not_while_it_is_under_way(api: Api) -> None:
    await told(api)
    [callback_id] = await tried(api, HttpAnswer(204))
    path = f"/callbacks/{callback_id}/redeliver"
    answer = await api.call("POST", path)
    assert (answer.status, answer.body["state"], answer.body["finishedAt"]) == (202, "PENDING", None)
    api.clock.advance(1_500)
    answer = await api.call("POST", path)
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "redelivered_too_soon", "59")
    every = {"from": "2026-03-01T00:00:00Z", "state": "PENDING"}
    assert (await api.call("POST", "/callbacks/redeliver", every)).body["redelivered"] == 0
    now = EpochMs(api.clock.now())
    [(owner, _)] = await api.storage.run(lambda tx: tx.outbox.accounts_waiting("", 10))
    await api.storage.run(lambda tx: tx.outbox.line_up_due(owner, now, EpochMs(now + 1), 10))
    answer = await api.call("POST", path)
    assert (answer.status, answer.body["state"], answer.body["nextAttemptAt"]) == (200, "PENDING", None)
    api.clock.advance(1)
    assert await tried(api) == [callback_id]
    assert (await listed(api))[0]["attemptCount"] == 2
    assert (await api.call("POST", path)).status == 429
    api.clock.advance(58_499)
    assert (await api.call("POST", path)).status == 202


async def test_all_callbacks_of_a_period_are_redelivered_page_by_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.callbacks.redelivery.redeliver_all.__defaults__", (2,))
    await told(api, 5)
    await tried(api, HttpAnswer(410))  # the first disables the endpoint
    endpoint = (await api.call("GET", "/callbacks/endpoints")).body["data"][0]["id"]
    await api.call("POST", f"/callbacks/endpoints/{endpoint}/enable")
    await api.storage.run(lambda tx: tx.endpoints.release(EpochMs(api.clock.now()), 10))
    api.clock.advance(1)
    await tried(api, HttpAnswer(204))
    asked: dict[str, Any] = {"from": "2026-03-01T13:00:00Z", "state": "DELIVERED"}
    done = []
    while True:
        answer = await api.call("POST", "/callbacks/redeliver", asked)
        assert answer.status == 202
        done.append(answer.body["redelivered"])
        if not answer.body["hasMore"]:
            break
        asked["cursor"] = answer.body["nextCursor"]
    assert done == [2, 2]
    assert [each["state"] for each in await listed(api)] == ["PENDING"] * 4 + ["FAILED"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"from": "soon"}, 422, "invalid_request"),
        ({"from": "2026-03-01T00:00:00Z", "to": "x"}, 422, "invalid_request"),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-02-28T23:59:59.999Z"}, 422, "invalid_request"),
        ({"from": "2026-03-01T00:00:00+02:00", "to": "2026-02-28T22:30:00+01:00"}, 422, "invalid_request"),
        ({"from": "2026-03-01T00:00:00Z", "state": "HELD"}, 422, "invalid_request"),
        ({"from": "2026-03-01T00:00:00Z", "cursor": "x"}, 400, "invalid_cursor"),
    ],
)
async def test_a_bad_period_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    answer = await api.call("POST", "/callbacks/redeliver", body)
    assert (answer.status, answer.code) == (status, code)


async def test_a_reversed_period_is_refused_and_an_empty_one_is_not(api: Api) -> None:
    body = {"from": "2026-03-01T00:00:00Z", "to": "2026-02-28T23:59:59Z"}
    refused = await api.call("POST", "/callbacks/redeliver", body)
    assert refused.body["errors"] == [{"field": "to", "message": "must not be earlier than from", "pointer": "/to"}]
    answer = await api.call("POST", "/callbacks/redeliver", body | {"to": "2026-03-01T01:00:00+01:00"})
    assert (answer.status, answer.body["redelivered"]) == (202, 0)


async def test_a_disabled_endpoint_shows_time_and_reason_and_can_be_enabled(api: Api) -> None:
    await told(api)
    await tried(api, HttpAnswer(410))
    await told(api)
    await tried(api)
    [endpoint] = (await api.call("GET", "/callbacks/endpoints")).body["data"]
    assert endpoint == {
        "id": endpoint["id"],
        "url": CALLBACK,
        "state": "DISABLED",
        "failingSince": "2026-03-01T13:00:00.000Z",
        "disabledAt": "2026-03-01T13:00:00.000Z",
        "reason": "GONE",
    }
    assert [each["state"] for each in await listed(api)] == ["HELD", "FAILED"]
    for _ in range(2):
        enabled = await api.call("POST", f"/callbacks/endpoints/{endpoint['id']}/enable")
        assert (enabled.status, enabled.body["state"], enabled.body["reason"]) == (200, "ENABLED", None)


async def test_a_secret_is_rotated_once_per_idempotency_key_and_the_old_one_signs_during_the_overlap(api: Api) -> None:
    before = (await api.call("GET", "/webhook-secret")).body
    assert (before["oldSecret"], before["oldSecretUntil"]) == (None, None)
    key = {"Idempotency-Key": "march"}
    rotated = await api.call("POST", "/webhook-secret/rotate", {"overlapSeconds": 60}, headers=key)
    again = await api.call("POST", "/webhook-secret/rotate", {"overlapSeconds": 60}, headers=key)
    assert again.body == rotated.body
    assert again.headers["Idempotent-Replayed"] == "true"
    assert rotated.body["secret"] != before["secret"] == rotated.body["oldSecret"]
    assert rotated.body["oldSecretUntil"] == "2026-03-01T12:01:00.000Z"
    api.clock.advance(60_000)
    after = (await api.call("GET", "/webhook-secret")).body
    assert after == {"secret": rotated.body["secret"], "oldSecret": None, "oldSecretUntil": None}
    theirs = (await api.call("GET", "/webhook-secret", account="theirs")).body
    assert theirs["secret"] not in {before["secret"], after["secret"]}


async def test_the_default_overlap_is_a_day_and_zero_is_allowed(api: Api) -> None:
    rotated = (await api.call("POST", "/webhook-secret/rotate", {})).body
    assert rotated["oldSecretUntil"] == "2026-03-02T12:00:00.000Z"
    assert (await api.call("POST", "/webhook-secret/rotate", {"overlapSeconds": 0})).body["oldSecret"] is None
    assert api.clock.now() == START


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", None, 1.5])
async def test_a_bad_overlap_is_refused(api: Api, overlap: Any) -> None:
    answer = await api.call("POST", "/webhook-secret/rotate", {"overlapSeconds": overlap})
    assert (answer.status, answer.code) == (422, "invalid_request")
