"""Accounts cannot see each other's data. Generated from the route table, so that a new route is covered at once."""

from typing import Any

import pytest
from aiohttp import hdrs, web

from api.app import ROUTES, build_app
from api.docs_page.served import ROUTES as PAGES
from api.http.dependencies import DEPENDENCIES
from api.http.routes import Route
from api.twilio_proxy.served import ROUTES as TWILIOS
from engine.domain.ids import CallId
from engine.domain.times import EpochMs
from tests.integration.api_helpers import CALLER, UNKNOWN_BOOKING, UNKNOWN_CDR, Answer, Api
from tests.integration.api_routes import QUERY, path_of, valid_body
from tests.integration.callback_sending import failed_callback

pytest_plugins = ["tests.integration.api_fixtures"]

PRIVATE = [route for route in ROUTES if not route.public]
WITH_ID = [route for route in PRIVATE if "{id}" in route.path]
LISTS = [route for route in PRIVATE if "cursor" in route.parameters and "{" not in route.path]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNKNOWN = {
    "bookings": UNKNOWN_BOOKING,
    "cdr": UNKNOWN_CDR,
    "calls": UNKNOWN_CDR,
    "callbacks": "evt_" + "0" * 32,
    "callbacks/endpoints": "cep_" + "0" * 32,
}
# Their path has all they need, and they read no body.
WITHOUT_BODY = {"redeliverCallback", "enableCallbackEndpoint"}


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_the_router_has_exactly_the_routes_of_the_table(api: Api) -> None:
    """The tests below try every route of the table, and test_twilio_proxy.py those of Twilio's API.

    Other pages are for people and have no account data.
    """
    router = {(route.method, route.resource.canonical) for route in api.client.app.router.routes() if route.resource}
    table = {(route.method, route.path) for route in (*ROUTES, *PAGES, *TWILIOS)}
    assert router == table | {("HEAD", path) for method, path in table if method == "GET"}
    assert len(table) == len(ROUTES) + len(PAGES) + len(TWILIOS)
    assert all(page.path == "/docs" or page.path.startswith("/docs/") for page in PAGES)


@pytest.mark.parametrize("route", PRIVATE, ids=name_of)
def test_every_writing_route_declares_its_body(route: Route) -> None:
    takes = route.method in {"POST", "PUT", "PATCH"} and route.operation.id not in WITHOUT_BODY
    assert (route.body is not None) == takes


async def ids_of(api: Api, account: str) -> dict[str, str]:
    """Make a booking with a blocked caller, a call record, a failed callback and its endpoint.

    Returns:
        Their ids by the start of their paths.
    """
    booking = await api.book(account=account)
    await api.talk(booking["service"], CallId(f"call-of-{account}"), 3)
    return await ids_after_a_call(api, account, booking["id"])


async def ids_after_a_call(api: Api, account: str, booking_id: str) -> dict[str, str]:
    path = f"/bookings/{booking_id}/blocked-callers"
    await api.call("POST", path, {"caller": CALLER}, account=account)
    records = (await api.call("GET", "/cdr", account=account)).body["data"]
    callback_id, endpoint_id = await api.storage.run(failed_callback, EpochMs(api.clock.now()))
    return {
        "bookings": booking_id,
        "cdr": records[0]["id"],
        "calls": records[0]["id"],
        "callbacks": callback_id,
        "callbacks/endpoints": endpoint_id,
    }


async def ask(api: Api, route: Route, ids: dict[str, str], **options: Any) -> Answer:
    body = None if route.body is None else valid_body(route.body)
    return await api.call(options.pop("method", route.method), path_of(route, ids), body, **options)


async def snapshot(api: Api, account: str, ids: dict[str, str]) -> list[str]:
    """Return everything that the account can read."""
    reads = [route for route in PRIVATE if route.method == "GET"]
    paths = [path_of(route, ids) for route in reads] + ["/bookings?includeExpired=true"]
    return [(await api.call("GET", path, account=account)).text for path in paths]


# These headers differ between any two requests.
OF_THE_MOMENT = {"Date", "RateLimit", hdrs.X_REQUEST_ID}


def without_date(answer: Answer) -> tuple[int, list[tuple[str, str]], str]:
    headers = [(name, value) for name, value in answer.headers.items() if name not in OF_THE_MOMENT]
    return answer.status, headers, answer.text


@pytest.mark.parametrize("route", WITH_ID, ids=name_of)
async def test_another_accounts_id_answers_exactly_like_an_unknown_one(api: Api, route: Route) -> None:
    theirs = await ids_of(api, "theirs")
    before = await snapshot(api, "theirs", theirs)
    foreign, unknown = await ask(api, route, theirs), await ask(api, route, UNKNOWN)
    assert (foreign.status, foreign.code) == (404, "not_found")
    assert without_date(foreign) == without_date(unknown)
    assert await snapshot(api, "theirs", theirs) == before
    assert (api.asterisk.hung_up, api.asterisk.renewed) == ([], [])


@pytest.mark.parametrize("route", WITH_ID, ids=name_of)
async def test_no_other_method_or_query_tells_them_apart(api: Api, route: Route) -> None:
    """Other methods, wrong or missing bodies and parameters get the same answer as for an unknown id."""
    theirs = await ids_of(api, "theirs")
    before = await snapshot(api, "theirs", theirs)
    ways: list[dict[str, Any]] = [{"method": method} for method in METHODS]
    for raw in (b"", b"{}", b"[]", b"{", b'{"usagePlan": "HUGE"}', b'{"id": "x"}'):
        ways += [{"data": raw, "headers": {"Content-Type": kind}} for kind in ("application/json", "text/plain")]
    for way in ways:
        method, options = way.get("method", route.method), {key: way[key] for key in way if key != "method"}
        for query in ("", "?" + "&".join(f"{name}={QUERY[name]}" for name in sorted(route.parameters))):
            foreign = await api.call(method, path_of(route, theirs) + query, **options)
            unknown = await api.call(method, path_of(route, UNKNOWN) + query, **options)
            assert without_date(foreign) == without_date(unknown), (way, query)
            assert foreign.status in range(400, 500)
    assert await snapshot(api, "theirs", theirs) == before


@pytest.mark.parametrize("route", WITH_ID, ids=name_of)
async def test_another_accounts_gone_booking_answers_not_found_and_never_gone(api: Api, route: Route) -> None:
    theirs = await ids_of(api, "theirs")
    await api.call("DELETE", f"/bookings/{theirs['bookings']}", account="theirs")
    foreign = await ask(api, route, theirs)
    assert (foreign.status, foreign.code) == (404, "not_found")


@pytest.mark.parametrize("route", WITH_ID, ids=name_of)
async def test_an_own_id_is_answered(api: Api, route: Route) -> None:
    assert (await ask(api, route, await ids_of(api, "ours"))).status in {200, 201, 202, 204}


@pytest.mark.parametrize("route", LISTS, ids=name_of)
async def test_a_list_has_only_records_of_its_account(api: Api, route: Route) -> None:
    await ids_of(api, "theirs")
    assert (await api.call("GET", route.path)).body["data"] == []
    ours = await ids_of(api, "ours")
    records = (await api.call("GET", route.path)).body["data"]
    assert [record["id"] for record in records] == [ours[route.path.strip("/")]]


@pytest.mark.parametrize("route", LISTS, ids=name_of)
async def test_another_accounts_cursor_shows_nothing_of_that_account(api: Api, route: Route) -> None:
    for index in range(2):
        booking = await api.book(account="theirs", callback=f"https://customer.example/{index}")
        await api.talk(booking["service"], CallId(f"call-{index}"), 1)
    ours = await ids_of(api, "ours")
    theirs = await api.call("GET", f"{route.path}?limit=1", account="theirs")
    answer = await api.call("GET", f"{route.path}?cursor={theirs.body['nextCursor']}")
    assert answer.status == 200
    assert {record["id"] for record in answer.body["data"]} <= set(ours.values())


BAD_AUTHORIZATIONS: dict[str, Any] = {
    "nothing": {},
    "an empty one": {"Authorization": ""},
    "no key": {"Authorization": "Bearer "},
    "an unknown key": {"Authorization": "Bearer rn_live_" + "A" * 43},
    "another scheme": {"Authorization": "Basic b3VyczpvdXJz"},
    "a very long key": {"Authorization": "Bearer " + "A" * 4000},
    "letters beyond ASCII": {"Authorization": "Bearer clé"},
    "two keys": {"Authorization": "Bearer a, Bearer b"},
}


# Fewer routes than failures that an address may have in a minute.
SOME_ROUTES = 15


@pytest.mark.parametrize("first", range(0, len(PRIVATE), SOME_ROUTES))
@pytest.mark.parametrize("headers", BAD_AUTHORIZATIONS.values(), ids=BAD_AUTHORIZATIONS)
async def test_no_route_answers_without_a_valid_key(api: Api, first: int, headers: dict[str, str]) -> None:
    ours = await ids_of(api, "ours")
    before = await snapshot(api, "ours", ours)
    for route in PRIVATE[first : first + SOME_ROUTES]:
        answer = await ask(api, route, ours, account=None, headers=headers)
        assert (answer.status, answer.code) == (401, "unauthorized"), route.path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert await snapshot(api, "ours", ours) == before


async def test_the_authorization_scheme_is_case_insensitive(api: Api) -> None:
    for scheme in ("bearer", "BEARER", "Bearer  "):
        headers = {"Authorization": f"{scheme} {api.keys['ours']}"}
        assert (await api.call("GET", "/bookings", account=None, headers=headers)).status == 200


async def test_a_shortened_or_altered_key_is_refused(api: Api) -> None:
    key = api.keys["ours"]
    for wrong in (key[:-1], key + "A", key.swapcase(), key + "="):
        answer = await api.call("GET", "/bookings", account=None, headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status == 401


async def test_a_revoked_key_is_refused(api: Api) -> None:
    await api.storage.run(lambda tx: tx.accounts._db.execute("UPDATE api_keys SET revoked_at = 1"))
    assert (await api.call("GET", "/bookings")).code == "unauthorized"


def test_only_routes_without_account_data_are_public() -> None:
    assert [name_of(route) for route in ROUTES if route.public] == [
        "GET /usage-plans",
        "GET /health",
        "GET /ready",
        "GET /openapi.json",
    ]


async def test_a_handler_outside_the_route_table_needs_a_key(api: Api, aiohttp_client: Any) -> None:
    async def forgotten(_request: web.Request) -> web.Response:
        return web.Response(text="a secret")

    app = build_app(api.client.app[DEPENDENCIES])
    app.router.add_get("/forgotten", forgotten)
    client = await aiohttp_client(app)
    assert (await client.get("/forgotten")).status == 401
