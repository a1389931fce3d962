"""`Idempotency-Key`: a repeated request is carried out once and gets the first answer."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from multidict import CIMultiDict

from engine.accounts.idempotency import KEPT_MS
from engine.domain.times import EpochMs
from tests.integration.api_helpers import NUMBERS, SECOND, Answer, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]


async def post(api: Api, key: str, *, account: str = "ours", **changes: Any) -> Answer:
    return await api.call("POST", "/bookings", a_request(**changes), headers={"Idempotency-Key": key}, account=account)


async def put(api: Api, booking_id: str, key: str, **changes: Any) -> Answer:
    body = {"usagePlan": "SMALL", **changes}
    return await api.call("PUT", f"/bookings/{booking_id}", body, headers={"Idempotency-Key": key})


async def bookings(api: Api, account: str = "ours") -> list[Any]:
    listed: list[Any] = (await api.call("GET", "/bookings?limit=100", account=account)).body["data"]
    return listed


def told_twice(first: Answer, again: Answer) -> bool:
    headers = ("Location", "Content-Type")
    return (
        (first.status, first.text) == (again.status, again.text)
        and [first.headers.get(name) for name in headers] == [again.headers.get(name) for name in headers]
        and "Idempotent-Replayed" not in first.headers
        and again.headers["Idempotent-Replayed"] == "true"
    )


async def test_a_repeated_booking_request_gets_the_first_answer(api: Api) -> None:
    first = await post(api, "k1")
    api.clock.advance(SECOND)
    assert first.status == 201
    assert told_twice(first, await post(api, "k1"))
    assert len(await bookings(api)) == 1


async def test_a_repeated_renewal_adds_its_plan_once(api: Api) -> None:
    booking = await api.book()
    first = await put(api, booking["id"], "k1")
    assert told_twice(first, await put(api, booking["id"], "k1"))
    assert (await api.see(booking["id"]))["secondsRemaining"] == 2 * booking["secondsRemaining"]
    await put(api, booking["id"], "k2")
    assert (await api.see(booking["id"]))["secondsRemaining"] == 3 * booking["secondsRemaining"]


async def test_the_same_request_in_another_spelling_is_a_repetition(api: Api) -> None:
    first = await post(api, "k1")
    turned = dict(reversed(a_request().items()))
    assert told_twice(first, await api.call("POST", "/bookings", turned, headers={"idempotency-key": "k1"}))
    noted = await post(api, "k2", metadata={"a": "1", "b": "2"})
    assert told_twice(noted, await post(api, "k2", metadata={"b": "2", "a": "1"}))


async def test_another_request_with_the_same_key_is_refused(api: Api) -> None:
    booking = (await post(api, "k1")).body
    for answer in (
        await post(api, "k1", usagePlan="LARGE"),
        await post(api, "k1", maxConcurrentCalls=None),
        await put(api, booking["id"], "k1"),
    ):
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert await bookings(api) == [booking]


async def test_idempotency_keys_are_separate_for_each_account(api: Api) -> None:
    ours, theirs = await post(api, "k1"), await post(api, "k1", account="theirs")
    assert ours.body["id"] != theirs.body["id"]
    assert [len(await bookings(api, account)) for account in ("ours", "theirs")] == [1, 1]


async def test_without_a_key_every_request_is_carried_out(api: Api) -> None:
    assert (await api.book())["id"] != (await api.book())["id"]


async def test_of_fifty_concurrent_requests_with_one_key_one_is_carried_out(api: Api) -> None:
    answers = await asyncio.gather(*(post(api, "k1") for _ in range(50)))
    made = {answer.text for answer in answers if answer.status == 201}
    assert len(made) == 1
    refused = [answer for answer in answers if answer.status != 201]
    assert {(answer.code, answer.headers["Retry-After"]) for answer in refused} <= {("idempotency_key_in_use", "1")}
    assert len(await bookings(api)) == 1


async def test_a_refused_request_can_succeed_later_with_the_same_key(api: Api) -> None:
    assert (await post(api, "k1", destination="+0")).status == 422
    held = [await api.book() for _ in NUMBERS]
    assert (await post(api, "k1")).status == 503
    await api.call("DELETE", f"/bookings/{held[0]['id']}")
    api.clock.advance(10**12)
    await api.storage.run(lambda tx: tx.numbers.free_quarantined(EpochMs(api.clock.now())))
    assert (await post(api, "k1")).status == 201


async def test_a_key_can_be_used_anew_after_a_day(api: Api) -> None:
    first = await post(api, "k1")
    api.clock.advance(KEPT_MS - 1)
    assert told_twice(first, await post(api, "k1"))
    api.clock.advance(1)
    second = await post(api, "k1", usagePlan="LARGE")
    assert second.status == 201
    assert second.body["id"] != first.body["id"]


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256])
async def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    answer = await post(api, key)
    assert (answer.status, answer.code) == (400, "invalid_idempotency_key")
    assert await bookings(api) == []


async def test_two_idempotency_keys_are_refused(api: Api) -> None:
    headers = CIMultiDict([("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Content-Type", "application/json")])
    headers["Authorization"] = f"Bearer {api.keys['ours']}"
    async with api.client.post("/bookings", json=a_request(), headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_idempotency_key")


async def test_no_booking_is_made_when_its_answer_cannot_be_stored(api: Api) -> None:
    execute(api, "CREATE TRIGGER no_room BEFORE INSERT ON kept_answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert (await post(api, "k1")).status == 500
    assert await bookings(api) == []
    execute(api, "DROP TRIGGER no_room")
    assert (await post(api, "k1")).status == 201
    assert len(await bookings(api)) == 1


def execute(api: Api, statement: str) -> None:
    with closing(sqlite3.connect(api.reads.database)) as database:
        database.execute(statement)
        database.commit()
