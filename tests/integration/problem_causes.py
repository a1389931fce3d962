"""Requests that cause each problem of the API, by its code."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest.mock import patch

from api.http.idempotency import UNDER_WAY
from engine.accounts.accounts import set_limits
from engine.accounts.lifecycle import suspend
from engine.callbacks import redelivery
from engine.domain.policy import Policy
from engine.sandbox.clock import MAX_AHEAD_MS
from engine.storage.transaction import Transaction
from tests.integration.api_helpers import (
    CALLBACK,
    CALLER,
    CRASHING_CALLBACK,
    NUMBERS,
    TESTED,
    UNKNOWN_BOOKING,
    Answer,
    Api,
    a_pair,
    a_request,
    hold_all_but_one,
)
from tests.integration.test_api_callbacks import told, tried


async def book(api: Api, **changes: object) -> Answer:
    return await api.call("POST", "/bookings", a_request(**changes))


async def gone(api: Api) -> Answer:
    path = f"/bookings/{(await api.book())['id']}"
    await api.call("DELETE", path)
    return await api.call("GET", path)


async def not_for_pairs(api: Api) -> Answer:
    booked = await api.call("POST", "/bookings", a_pair(), account=TESTED)
    return await api.call("PATCH", f"/bookings/{booked.body['id']}", {"reverse": True}, account=TESTED)


async def voice_is_off(api: Api) -> Answer:
    with patch.object(Policy, "speaks", new=False):
        return await book(api, screening="press1")


async def reverse_unavailable(api: Api) -> Answer:
    with patch.object(Policy, "may_assert_callers", new=False):
        return await book(api, reverse=True)


async def booking_begun(api: Api) -> Answer:
    path = f"/bookings/{(await api.book())['id']}"
    return await api.call("PATCH", path, {"startTime": "2030-01-01T00:00:00Z"})


async def too_long(api: Api) -> Answer:
    path = f"/bookings/{(await api.book(usagePlan='LARGE'))['id']}"
    for _ in range(3):
        answer = await api.call("PUT", path, {"usagePlan": "LARGE"})
    return answer


async def no_number_free(api: Api) -> Answer:
    for _ in NUMBERS:
        await api.book()
    return await book(api)


async def quota_reached(api: Api) -> Answer:
    await hold_all_but_one(api, (await api.book())["id"])
    await api.book()
    return await book(api)


async def too_many_new_bookings(api: Api) -> Answer:
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 1})
    await api.book()
    return await book(api)


async def account_suspended(api: Api) -> Answer:
    await api.storage.run(suspend, "ours", "unpaid", api.clock.now())
    return await book(api)


async def too_many_redeliveries(api: Api) -> Answer:
    await book(api)
    with patch.object(redelivery, "MOST_DUE", 0):
        return await api.call("POST", "/callbacks/redeliver", {"from": "2026-03-01T00:00:00Z"})


async def redelivered_too_soon(api: Api) -> Answer:
    await told(api)
    [callback_id] = await tried(api)
    await api.call("POST", f"/callbacks/{callback_id}/redeliver")
    return await api.call("POST", f"/callbacks/{callback_id}/redeliver")


async def too_many_tests(api: Api) -> Answer:
    for _ in range(11):
        answer = await api.call("POST", "/callbacks/test", {"url": CALLBACK})
    return answer


async def too_much_stored(api: Api) -> Answer:
    await api.storage.run(lambda tx: tx.accounts._db.execute("UPDATE accounts SET stored_bytes = 1000000000").rowcount)
    return await api.call("POST", "/bookings", a_request(), headers={"Idempotency-Key": "k"})


async def block(api: Api, caller: str, already: int = 0) -> Answer:
    booking_id = (await api.book())["id"]
    rows = [(booking_id, f"+1415{number:07}") for number in range(already)]
    sql = "INSERT INTO blocked_callers VALUES (?, ?, 1)"
    await api.storage.run(lambda tx: tx.blocked._db.executemany(sql, rows).rowcount)
    return await api.call("POST", f"/bookings/{booking_id}/blocked-callers", {"caller": caller})


async def slow_body(api: Api) -> Answer:
    async def never_ends() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    headers = {"Content-Type": "application/json"}
    return await api.call("POST", "/bookings", data=never_ends(), headers=headers)


async def overloaded(api: Api) -> Answer:
    finish = threading.Event()

    def occupy(_tx: Transaction) -> None:
        finish.wait(30)

    busy = asyncio.ensure_future(api.storage.run(occupy))
    try:
        return await book(api)
    finally:
        finish.set()
        await busy


async def keyed(api: Api, key: str, **changes: object) -> Answer:
    return await api.call("POST", "/bookings", a_request(**changes), headers={"Idempotency-Key": key})


async def key_in_use(api: Api) -> Answer:
    await keyed(api, "k0")  # the first call is slow, since it prepares caches
    finish = threading.Event()
    busy = asyncio.ensure_future(api.storage.run(lambda _tx: finish.wait(30)))
    try:
        first = asyncio.ensure_future(keyed(api, "k1"))
        while not api.client.app[UNDER_WAY]:  # noqa: ASYNC110  the API sets no event
            await asyncio.sleep(0.01)
        return await keyed(api, "k1")
    finally:
        finish.set()
        await asyncio.gather(busy, first)


async def key_reused(api: Api) -> Answer:
    await keyed(api, "k1")
    return await keyed(api, "k1", usagePlan="LARGE")


async def clock_too_far(api: Api) -> Answer:
    await api.storage.run(
        lambda tx: tx.accounts._db.execute(
            "UPDATE accounts SET clock_ahead_ms = ? WHERE test_of IS NOT NULL", [MAX_AHEAD_MS]
        )
    )
    return await api.call("POST", "/test/clock", {"advance": 1}, account=TESTED)


async def unavailable(api: Api) -> Answer:
    await api.storage.close()
    return await book(api)


async def too_many_requests(api: Api) -> Answer:
    while (await api.call("HEAD", "/bookings")).status != 429:
        pass
    return await api.call("GET", "/bookings")


async def too_many_failures(api: Api) -> Answer:
    for _ in range(21):
        answer = await api.call("GET", "/bookings", account=None, headers={"Authorization": "Bearer wrong"})
    return answer


async def internal(api: Api) -> Answer:
    return await book(api, callback=CRASHING_CALLBACK)


CAUSES: dict[str, Callable[[Api], Awaitable[Answer]]] = {
    "malformed_request": lambda api: api.send(b"{"),
    "invalid_parameter": lambda api: api.call("GET", "/bookings?limit=x"),
    "invalid_cursor": lambda api: api.call("GET", "/bookings?cursor=x"),
    "unauthorized": lambda api: api.call("GET", "/bookings", account=None),
    "not_found": lambda api: api.call("GET", f"/bookings/{UNKNOWN_BOOKING}"),
    "gone": gone,
    "method_not_allowed": lambda api: api.call("PATCH", "/bookings"),
    "request_timeout": slow_body,
    "too_large": lambda api: api.send(b" " * 100_000),
    "unsupported_media_type": lambda api: api.call("POST", "/bookings", data=b"x"),
    "invalid_request": lambda api: api.call("POST", "/bookings", {}),
    "invalid_destination": lambda api: book(api, destination="+3247012345678"),
    "destination_not_allowed": lambda api: book(api, destination="+3290012345"),
    "destination_is_ours": lambda api: book(api, destination=NUMBERS[9]),
    "not_for_pairs": not_for_pairs,
    "voice_is_off": voice_is_off,
    "reverse_unavailable": reverse_unavailable,
    "booking_begun": booking_begun,
    "unknown_plan": lambda api: book(api, usagePlan="HUGE"),
    "callback_not_acceptable": lambda api: book(api, callback="ftp://customer.example"),
    "invalid_caller": lambda api: block(api, "anonymous"),
    "too_many_blocked_callers": lambda api: block(api, CALLER, already=1_000),
    "invalid_idempotency_key": lambda api: keyed(api, "a b"),
    "idempotency_key_in_use": key_in_use,
    "idempotency_key_reused": key_reused,
    "booking_too_long": too_long,
    "too_many_new_bookings": too_many_new_bookings,
    "too_much_stored": too_much_stored,
    "redelivered_too_soon": redelivered_too_soon,
    "too_many_redeliveries": too_many_redeliveries,
    "too_many_tests": too_many_tests,
    "too_many_requests": too_many_requests,
    "too_many_failures": too_many_failures,
    "expectation_failed": lambda api: api.call("GET", "/bookings", headers={"Expect": "the-unexpected"}),
    "internal": internal,
    "quota_reached": quota_reached,
    "number_not_free": lambda api: book(api, service="+3225559999"),
    "no_number_free": no_number_free,
    "overloaded": overloaded,
    "account_suspended": account_suspended,
    "test_key_required": lambda api: api.call("GET", "/test/clock"),
    "clock_too_far": clock_too_far,
    "unavailable": unavailable,
}
