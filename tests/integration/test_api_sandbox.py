"""Sandbox keys: what they can read and do, and that sandbox and live keys see nothing of each other."""

from typing import Any

import pytest

from api.app import ROUTES
from api.http.routes import Route
from api.schemas.sandbox import MAX_ADVANCE
from engine.cdr.ledger import audit_page
from engine.domain.ids import CallId
from engine.domain.numbers import is_simulated
from tests.integration.api_helpers import (
    CALLER,
    DAY,
    MAX_BOOKINGS,
    NUMBERS,
    SECOND,
    START,
    TESTED,
    THEIRS_TESTED,
    UNKNOWN_BOOKING,
    Answer,
    Api,
    a_request,
)
from tests.integration.api_routes import path_of, valid_body
from tests.integration.test_api_isolation import (
    LISTS,
    PRIVATE,
    UNKNOWN,
    WITH_ID,
    ids_after_a_call,
    name_of,
    without_date,
)

pytest_plugins = ["tests.integration.api_fixtures"]

TEST_ROUTES = [route for route in ROUTES if route.test]
# Pairs: an account, and one whose data it must not see.
STRANGERS = [("ours", TESTED), (TESTED, "ours"), (TESTED, THEIRS_TESTED), (TESTED, "theirs"), ("ours", THEIRS_TESTED)]
between = pytest.mark.parametrize(("who", "whose"), STRANGERS)


async def simulate(api: Api, service: str, outcome: str = "answered", account: str = TESTED, **fields: Any) -> Answer:
    body = {"service": service, "source": CALLER, "outcome": outcome} | fields
    return await api.call("POST", "/test/calls", body, account=account)


async def advance(api: Api, seconds: int, account: str = TESTED, **options: Any) -> Answer:
    return await api.call("POST", "/test/clock", {"advance": seconds}, account=account, **options)


async def things_of(api: Api, account: str) -> dict[str, str]:
    """Return ids as `ids_of` does, also for a sandbox."""
    booking = await api.book(account=account)
    if is_simulated(booking["service"]):
        assert (await simulate(api, booking["service"], account=account, seconds=3)).status == 200
    else:
        await api.talk(booking["service"], CallId(f"call of {account}"), 3)
    return await ids_after_a_call(api, account, booking["id"])


async def seen(api: Api, account: str, ids: dict[str, str]) -> list[str]:
    paths = [path_of(route, ids) for route in PRIVATE if route.method == "GET"]
    return [(await api.call("GET", path, account=account)).text for path in paths]


@between
async def test_a_sandbox_and_other_accounts_see_nothing_of_each_other_on_any_route(
    api: Api, who: str, whose: str
) -> None:
    theirs = await things_of(api, whose)
    before = await seen(api, whose, theirs)
    for route in WITH_ID:
        body = None if route.body is None else valid_body(route.body)
        foreign = await api.call(route.method, path_of(route, theirs), body, account=who)
        unknown = await api.call(route.method, path_of(route, UNKNOWN), body, account=who)
        assert (foreign.status, foreign.code) == (404, "not_found"), name_of(route)
        assert without_date(foreign) == without_date(unknown), name_of(route)
    for route in LISTS:
        assert (await api.call("GET", route.path, account=who)).body["data"] == [], name_of(route)
    assert await seen(api, whose, theirs) == before


@pytest.mark.parametrize("route", TEST_ROUTES, ids=name_of)
async def test_sandbox_routes_refuse_a_live_key(api: Api, route: Route) -> None:
    body = None if route.body is None else valid_body(route.body)
    for account in ("ours", "theirs"):
        answer = await api.call(route.method, route.path, body, account=account)
        assert (answer.status, answer.code) == (403, "test_key_required")
    assert await api.storage.run(lambda tx: list(tx.accounts._db.execute("SELECT * FROM cdrs"))) == []
    assert (await api.call(route.method, route.path, body, account=None)).code == "unauthorized"


def test_every_route_that_needs_a_test_key_is_below_test() -> None:
    assert {route.path for route in ROUTES if route.path.startswith("/test/")} == {route.path for route in TEST_ROUTES}


@pytest.mark.parametrize("path", ["/bookings", "/test/clock", "/bookings/" + UNKNOWN_BOOKING, "/nowhere"])
async def test_exactly_the_answers_of_a_sandbox_carry_its_header(api: Api, path: str) -> None:
    expected = None if path == "/nowhere" else "test"  # an unknown path needs no key
    assert (await api.call("GET", path, account=TESTED)).headers.get("RentedNumbers-World") == expected
    for account in ("ours", None):
        assert "RentedNumbers-World" not in (await api.call("GET", path, account=account)).headers


async def test_a_sandbox_booking_takes_no_number_of_the_pool(api: Api) -> None:
    booking = await api.book(account=TESTED)
    assert is_simulated(booking["service"])
    free = await api.storage.run(lambda tx: tx.numbers.page("", "FREE", 100))
    assert len(free) == len(NUMBERS)
    for account in (TESTED, "ours"):
        answer = await api.call("POST", "/bookings", a_request(destination=booking["service"]), account=account)
        assert (answer.status, answer.code) == (422, "invalid_destination")


async def test_a_sandbox_refuses_what_a_live_account_refuses(api: Api) -> None:
    refused = [
        ({"callback": "ftp://customer.example"}, "callback_not_acceptable"),
        ({"destination": "+3290012345"}, "destination_not_allowed"),
        ({"destination": NUMBERS[0]}, "destination_is_ours"),
        ({"usagePlan": "HUGE"}, "unknown_plan"),
    ]
    for changes, code in refused:
        answer = await api.call("POST", "/bookings", a_request(**changes), account=TESTED)
        assert (answer.status, answer.code) == (422, code)
    for _ in range(MAX_BOOKINGS):
        await api.book(account=TESTED)
    assert (await api.call("POST", "/bookings", a_request(), account=TESTED)).code == "quota_reached"
    await api.book(account="ours")  # each has its own counter


@pytest.mark.parametrize(
    ("key", "record", "status"), [({}, ("ANSWERED", 12), 200), ({"key": None}, ("NO_ANSWER", 0), 480)]
)
async def test_a_simulated_screened_call_is_charged_only_with_the_key(
    api: Api, key: dict[str, Any], record: tuple[str, int], status: int
) -> None:
    booking = await api.book(account=TESTED, screening="press1")
    body = (await simulate(api, booking["service"], seconds=12, **key)).body
    assert ((body["cdr"]["disposition"], body["cdr"]["duration"]), body["sipStatus"]) == (record, status)
    assert body["booking"]["secondsRemaining"] == booking["secondsRemaining"] - record[1]


async def test_a_simulated_call_returns_its_outcome(api: Api) -> None:
    booking = await api.book(account=TESTED)
    answer = await simulate(api, booking["service"], seconds=12)
    body = answer.body
    assert (answer.status, body["putThrough"], body["reason"], body["sipStatus"]) == (200, True, "put_through", 200)
    assert (body["now"], body["promptsHeard"]) == ("2026-03-01T12:00:12.000Z", [])
    record = {"source": CALLER, "duration": 12, "disposition": "ANSWERED", "timestamp": "2026-03-01T12:00:00.000Z"}
    assert record.items() <= body["cdr"].items()
    path = f"/cdr/{body['cdr']['id']}"
    assert (await api.call("GET", path, account=TESTED)).body == body["cdr"]
    assert (await api.call("GET", f"/bookings/{booking['id']}", account=TESTED)).body == body["booking"]
    assert (body["booking"]["secondsRemaining"], body["booking"]["callsRemaining"]) == (78, 1)
    assert (await api.storage.run(audit_page)).discrepancies == []


async def test_a_withheld_number_is_anonymous_and_all_spellings_are_one_caller(api: Api) -> None:
    service = (await api.book(account=TESTED))["service"]
    for source, known in (("anonymous", "anonymous"), ("0014155550123", CALLER), ("0470123456", "0470123456")):
        body = (await simulate(api, service, "busy", source=source)).body
        assert body["cdr"]["source"] == known


async def test_a_number_outside_this_sandbox_is_unknown(api: Api) -> None:
    """Whether it is free, rented by a live account, or in another sandbox."""
    others = [(await api.book(account=account))["service"] for account in ("ours", THEIRS_TESTED)]
    for service in (*others, NUMBERS[9], "+999000000000000"):
        body = (await simulate(api, service, seconds=5)).body
        refused = {"putThrough": False, "reason": "no_booking", "sipStatus": 404, "cdr": None, "booking": None}
        assert refused.items() <= body.items()
    assert (await api.call("GET", "/cdr", account=THEIRS_TESTED)).body["data"] == []


BAD_CALLS: list[tuple[dict[str, Any], str]] = [
    ({"outcome": "answered"}, "seconds"),
    ({"outcome": "answered", "seconds": None}, "seconds"),
    ({"outcome": "answered", "seconds": 0}, "seconds"),
    ({"outcome": "answered", "seconds": 86_401}, "seconds"),
    ({"outcome": "answered", "seconds": 1.5}, "seconds"),
    ({"outcome": "busy", "seconds": 1}, "seconds"),
    ({"outcome": "no-answer", "seconds": 1}, "seconds"),
    ({"outcome": "lost"}, "outcome"),
    ({"outcome": "ANSWERED", "seconds": 1}, "outcome"),
    ({"outcome": "busy", "service": "0470123456"}, "service"),
    ({"outcome": "busy", "service": "+99"}, "service"),
    ({"outcome": "busy", "source": "nobody"}, "source"),
    ({"outcome": "busy", "source": ""}, "source"),
    ({"outcome": "busy", "advance": 1}, "advance"),
]


async def test_an_impossible_simulated_call_is_refused_by_its_field(api: Api) -> None:
    for fields, wrong in BAD_CALLS:
        body = {"service": "+999000000000000", "source": CALLER} | fields
        answer = await api.call("POST", "/test/calls", body, account=TESTED)
        assert (answer.status, answer.code) == (422, "invalid_request"), fields
        assert [error["field"] for error in answer.body["errors"]] == [wrong], fields


async def test_a_repeated_simulated_call_with_its_key_is_one_call(api: Api) -> None:
    service = (await api.book(account=TESTED))["service"]
    body = {"service": service, "source": CALLER, "outcome": "answered", "seconds": 5}
    options: dict[str, Any] = {"account": TESTED, "headers": {"Idempotency-Key": "k1"}}
    first, again = [await api.call("POST", "/test/calls", body, **options) for _ in range(2)]
    assert first.text == again.text
    assert "Idempotent-Replayed" in again.headers
    assert len((await api.call("GET", "/cdr", account=TESTED)).body["data"]) == 1


async def test_the_sandbox_clock_runs_on_from_its_new_time(api: Api) -> None:
    assert (await advance(api, 3_600)).body == {"now": "2026-03-01T13:00:00.000Z"}
    api.clock.advance(5 * SECOND)
    assert (await api.call("GET", "/test/clock", account=TESTED)).body == {"now": "2026-03-01T13:00:05.000Z"}
    assert (await advance(api, MAX_ADVANCE)).body == {"now": "2027-03-02T13:00:05.000Z"}
    assert (await api.call("GET", "/test/clock", account=THEIRS_TESTED)).body == {"now": "2026-03-01T12:00:05.000Z"}


async def test_the_sandbox_clock_only_moves_forward_and_a_year_at_most(api: Api) -> None:
    wrong: list[Any] = [0, -1, MAX_ADVANCE + 1, 1.5, "60", None, True, 10**30]
    for seconds in wrong:
        answer = await advance(api, seconds)
        assert (answer.status, answer.code) == (422, "invalid_request"), seconds
        assert [error["field"] for error in answer.body["errors"]] == ["advance"], seconds
    assert (await api.call("GET", "/test/clock", account=TESTED)).body == {"now": "2026-03-01T12:00:00.000Z"}


async def test_a_repeated_clock_request_with_its_key_moves_the_clock_once(api: Api) -> None:
    """Idempotency keys last a day of the machine's time, so moving the sandbox clock does not end them."""
    headers = {"Idempotency-Key": "k1"}
    first, again = [await advance(api, 10 * 86_400, headers=headers) for _ in range(2)]
    assert first.text == again.text
    assert (await api.call("GET", "/test/clock", account=TESTED)).body == {"now": "2026-03-11T12:00:00.000Z"}
    api.clock.advance(DAY)
    assert (await advance(api, 1, headers=headers)).status == 200


async def test_every_route_uses_the_sandbox_clock(api: Api) -> None:
    await advance(api, 86_400)
    booking = await api.book(account=TESTED)
    path = f"/bookings/{booking['id']}"
    assert (booking["createdAt"], booking["endTime"]) == ("2026-03-02T12:00:00.000Z", "2026-03-03T12:00:00.000Z")
    explained = (await api.call("GET", f"{path}/explain", account=TESTED)).body
    assert (explained["at"], explained["putThrough"]) == ("2026-03-02T12:00:00.000Z", True)
    await advance(api, 86_400)
    assert (await api.call("GET", path, account=TESTED)).body["status"] == "EXPIRED"
    assert (await api.call("GET", "/bookings", account=TESTED)).body["data"] == []
    assert len((await api.call("GET", "/bookings?includeExpired=true", account=TESTED)).body["data"]) == 1
    assert (await api.call("GET", f"{path}/explain", account=TESTED)).body["reason"] == "end_reached"
    renewed = (await api.call("PUT", path, {"usagePlan": "SMALL"}, account=TESTED)).body
    assert (renewed["status"], renewed["endTime"]) == ("ACTIVE", "2026-03-04T12:00:00.000Z")
    await advance(api, 8 * 86_400)
    assert (await api.call("GET", path, account=TESTED)).code == "gone"
    gone = await api.storage.run(lambda tx: tx.bookings.by_id(booking["id"]))
    assert gone is not None
    assert gone.gone_at == START + 10 * DAY
