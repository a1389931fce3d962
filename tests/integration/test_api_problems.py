"""Refusals: one shape, one table, nothing in them that should stay hidden."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from api.app import ROUTES, Limits
from api.idempotency import UNDER_WAY
from api.problems import PROBLEMS, TYPE_PREFIX, problem_of
from engine.domain import errors
from engine.storage.errors import StorageBusy
from engine.storage.transaction import Transaction
from engine.worlds import MAX_AHEAD_MS
from tests.integration.api_helpers import (
    CALLER,
    CRASHING_CALLBACK,
    DAY,
    HIDDEN,
    NUMBERS,
    POLICY,
    TESTED,
    UNKNOWN_BOOKING,
    Answer,
    Api,
    a_request,
    hold_all_but_one,
)

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def api_limits() -> Limits:
    return Limits(requests_per_minute=60, body_seconds=0.2, storage_seconds=0.3, request_seconds=1.0)


async def book(api: Api, **changes: object) -> Answer:
    return await api.call("POST", "/bookings", a_request(**changes))


async def gone(api: Api) -> Answer:
    path = f"/bookings/{(await api.book())['id']}"
    await api.call("DELETE", path)
    return await api.call("GET", path)


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
        finish.wait(5)

    busy = asyncio.ensure_future(api.storage.run(occupy))
    try:
        return await book(api)
    finally:
        finish.set()
        await busy


async def keyed(api: Api, key: str, **changes: object) -> Answer:
    return await api.call("POST", "/bookings", a_request(**changes), headers={"Idempotency-Key": key})


async def key_in_use(api: Api) -> Answer:
    await keyed(api, "k0")  # what is made ready at the first call takes its time
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
    "unknown_plan": lambda api: book(api, usagePlan="HUGE"),
    "callback_not_acceptable": lambda api: book(api, callback="ftp://customer.example"),
    "invalid_caller": lambda api: block(api, "anonymous"),
    "too_many_blocked_callers": lambda api: block(api, CALLER, already=1_000),
    "invalid_idempotency_key": lambda api: keyed(api, "a b"),
    "idempotency_key_in_use": key_in_use,
    "idempotency_key_reused": key_reused,
    "booking_too_long": too_long,
    "too_many_requests": too_many_requests,
    "too_many_failures": too_many_failures,
    "expectation_failed": lambda api: api.call("GET", "/bookings", headers={"Expect": "the-unexpected"}),
    "internal": internal,
    "quota_reached": quota_reached,
    "number_not_free": lambda api: book(api, service="+3225559999"),
    "no_number_free": no_number_free,
    "overloaded": overloaded,
    "test_key_required": lambda api: api.call("GET", "/test/clock"),
    "clock_too_far": clock_too_far,
    "unavailable": unavailable,
}


def test_every_code_has_a_cause_here() -> None:
    assert set(CAUSES) == set(PROBLEMS)


@pytest.mark.parametrize("code", CAUSES)
async def test_every_refusal_is_a_problem_document(api: Api, code: str) -> None:
    answer = await CAUSES[code](api)
    kind = PROBLEMS[code]
    assert answer.status == kind.status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.body
    errors_found = body.pop("errors", [])
    assert body == {
        "type": TYPE_PREFIX + code,
        "title": kind.title,
        "status": kind.status,
        "detail": body["detail"],
        "code": code,
        "retryable": kind.retry_after is not None,
    }
    assert all(set(error) == {"field", "message"} for error in errors_found)
    assert answer.headers.get("Retry-After") == (kind.retry_after and str(kind.retry_after))
    assert HIDDEN not in answer.text
    assert NUMBERS[9] not in answer.text


def subclasses(kind: type[errors.Refusal]) -> list[type[errors.Refusal]]:
    return [one for direct in kind.__subclasses__() for one in (direct, *subclasses(direct))]


@pytest.mark.parametrize("refusal", subclasses(errors.Refusal), ids=lambda kind: kind.__name__)
def test_every_refusal_of_the_engine_stands_in_the_table(refusal: type[errors.Refusal]) -> None:
    assert problem_of(refusal("why")).code == refusal.code
    assert (PROBLEMS[refusal.code].retry_after is not None) == refusal.retryable


@pytest.mark.parametrize("path", ["/", "/booking", "/bookings/", "/bookings/a/b", "/cdr/", "/%00", "/bookings//"])
@pytest.mark.parametrize("account", ["ours", None])
async def test_an_unknown_path_is_a_problem_too(api: Api, path: str, account: str | None) -> None:
    answer = await api.call("GET", path, account=account)
    assert (answer.status, answer.code) == (404, "not_found")


PATHS = sorted({route.path for route in ROUTES})


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_answer_405_and_what_is_allowed(api: Api, path: str) -> None:
    methods = {route.method for route in ROUTES if route.path == path}
    allowed = methods | {"HEAD"} if "GET" in methods else methods
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} - methods:
        answer = await api.call(method, path.replace("{id}", UNKNOWN_BOOKING).replace("{caller}", "x"))
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == allowed


async def test_a_refusal_to_head_has_no_body(api: Api) -> None:
    answer = await api.call("HEAD", f"/bookings/{UNKNOWN_BOOKING}")
    assert (answer.status, answer.text) == (404, "")


async def test_no_answer_may_be_cached_or_sniffed_and_none_tells_versions(api: Api) -> None:
    answers = [
        await book(api),
        await book(api, usagePlan="HUGE"),
        await api.call("GET", "/bookings"),
        await api.call("GET", "/nowhere", account=None),
        await api.call("GET", "/health", account=None),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "rented-numbers"


async def test_a_failure_is_logged_by_its_place_and_without_any_text_of_the_request(api: Api) -> None:
    with capture_logs() as logs:
        answer = await internal(api)
    assert answer.status == 500
    assert "InvariantBroken" not in answer.text
    (line,) = logs
    assert (line["event"], line["error"], line["route"]) == ("request_failed", "InvariantBroken", "/bookings")
    assert any("check_callback" in frame for frame in line["where"])
    assert HIDDEN not in repr(logs)


async def test_a_full_queue_answers_overloaded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StorageBusy("4096 commands are waiting")

    monkeypatch.setattr(api.storage, "run", full)
    answer = await book(api)
    assert (answer.status, answer.code) == (503, "overloaded")


async def test_a_request_that_takes_too_long_answers_overloaded(api: Api) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    api.health.behave = hang
    answer = await api.call("GET", "/health")
    assert (answer.status, answer.code) == (503, "overloaded")


async def test_failing_reads_answer_unavailable(api: Api) -> None:
    await api.reads.__aexit__(None, None, None)
    answer = await api.call("GET", "/bookings")
    assert (answer.status, answer.code) == (503, "unavailable")


async def test_a_database_that_lost_its_tables_answers_unavailable(api: Api) -> None:
    await api.storage.run(lambda tx: tx.cdrs._db.execute("DROP TABLE cdrs"))
    answer = await api.call("GET", "/cdr")
    assert (answer.status, answer.code) == (503, "unavailable")


async def test_a_command_given_up_before_it_began_is_not_carried_out(api: Api) -> None:
    assert (await overloaded(api)).code == "overloaded"
    assert (await api.call("GET", "/bookings")).body["data"] == []


async def test_gone_is_for_ones_own_only_as_long_as_anybody_asks(api: Api) -> None:
    path = f"/bookings/{(await api.book())['id']}"
    api.clock.advance(DAY + POLICY.grace_ms)
    assert (await api.call("GET", path)).code == "gone"
    assert (await api.call("GET", path, account="theirs")).code == "not_found"
