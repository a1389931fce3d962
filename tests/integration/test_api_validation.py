"""A refused body is told of everything that is wrong with it at once, each with its place."""

from typing import Any

import pytest

from api.http.problems import MAX_ERRORS
from tests.integration.api_helpers import CALLER, HIDDEN, NUMBERS, TESTED, Answer, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

UNSOUND = "+3247012345678"  # no number of its country
PREMIUM = "+3290012345"
NOT_HTTPS = "ftp://customer.example"
SPAN = {"from": "2026-03-01T00:00:00Z"}
CALL = {"service": NUMBERS[0], "source": CALLER, "outcome": "busy"}

# Where it is sent, what is sent, the code, and the pointers in their order. One field that is wrong has its own code.
BODIES: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("POST /bookings", a_request(destination=UNSOUND), "invalid_destination", ["/destination"]),
    ("POST /bookings", a_request(destination=PREMIUM), "destination_not_allowed", ["/destination"]),
    ("POST /bookings", a_request(destination=1), "invalid_destination", ["/destination"]),
    ("POST /bookings", a_request(usagePlan="HUGE"), "unknown_plan", ["/usagePlan"]),
    ("POST /bookings", a_request(callback=NOT_HTTPS), "callback_not_acceptable", ["/callback"]),
    ("POST /bookings", a_request(callback="\n"), "callback_not_acceptable", ["/callback"]),
    (
        "POST /bookings",
        {"destination": UNSOUND, "usagePlan": "HUGE", "callback": NOT_HTTPS},
        "invalid_request",
        ["/destination", "/usagePlan", "/callback"],
    ),
    (
        "POST /bookings",
        {"destination": PREMIUM, "usagePlan": "SMALL", "callback": NOT_HTTPS},
        "invalid_request",
        ["/destination", "/callback"],
    ),
    (
        "POST /bookings",
        a_request(callback=NOT_HTTPS, service=NUMBERS[0], country="XX", maxCallSeconds=0),
        "invalid_request",
        ["/maxCallSeconds", "/country", "/callback", ""],
    ),
    ("POST /bookings", a_request(service=NUMBERS[0], country="BE"), "invalid_request", [""]),
    ("POST /bookings", {"destination": UNSOUND}, "invalid_request", ["/destination", "/usagePlan", "/callback"]),
    ("POST /bookings", a_request(destination=UNSOUND, more=1), "invalid_request", ["/destination", "/more"]),
    ("POST /bookings", a_request(usagePlan="HUGE", **{HIDDEN: 1}), "invalid_request", ["/usagePlan", ""]),
    (
        "POST /bookings",
        a_request(metadata={"order": 1, "a.b-c": "x" * 501, HIDDEN[1:]: "\0", "no key": "x"}),
        "invalid_request",
        ["/metadata/order", "/metadata/a.b-c", "/metadata", "/metadata"],
    ),
    ("PUT /bookings/{id}", {"usagePlan": "SMALL", "destination": UNSOUND}, "invalid_destination", ["/destination"]),
    (
        "PUT /bookings/{id}",
        {"usagePlan": "HUGE", "destination": PREMIUM, "callback": NOT_HTTPS, "label": ""},
        "invalid_request",
        ["/destination", "/callback", "/label", "/usagePlan"],
    ),
    ("PATCH /bookings/{id}", {"callback": NOT_HTTPS}, "callback_not_acceptable", ["/callback"]),
    (
        "PATCH /bookings/{id}",
        {"destination": None, "callback": NOT_HTTPS, "paused": 1},
        "invalid_request",
        ["/destination", "/callback", "/paused"],
    ),
    ("POST /bookings/{id}/blocked-callers", {"caller": "anonymous"}, "invalid_caller", ["/caller"]),
    ("POST /bookings/{id}/blocked-callers", {"caller": "+1", "why": ""}, "invalid_request", ["/caller", "/why"]),
    ("POST /callbacks/redeliver", SPAN | {"cursor": "x"}, "invalid_cursor", ["/cursor"]),
    (
        "POST /callbacks/redeliver",
        SPAN | {"to": "2026-02-01T00:00:00Z", "state": "HELD", "cursor": "x"},
        "invalid_request",
        ["/to", "/state", "/cursor"],
    ),
    ("PUT /account", {"events": ["call.missed", "x", "y"]}, "invalid_request", ["/events/1", "/events/2"]),
    ("POST /test/calls", CALL | {"service": "+1", "seconds": 5}, "invalid_request", ["/service", "/seconds"]),
]


async def send(api: Api, route: str, body: dict[str, Any]) -> Answer:
    method, path = route.split()
    if "{id}" in path:
        path = path.format(id=(await api.book())["id"])
    return await api.call(method, path, body, account=TESTED if path.startswith("/test/") else "ours")


@pytest.mark.parametrize(("route", "body", "code", "pointers"), BODIES)
async def test_everything_that_is_wrong_with_a_body_is_named_with_its_place(
    api: Api, route: str, body: dict[str, Any], code: str, pointers: list[str]
) -> None:
    answer = await send(api, route, body)
    assert (answer.status, answer.code) == (400 if code == "invalid_cursor" else 422, code), answer.text
    errors = answer.body["errors"]
    assert [error["pointer"] for error in errors] == pointers
    for error in errors:
        step = error["pointer"].split("/")[1:2]
        assert [error["field"]] == step or error["field"] in {"", "(unnamed)"}
        assert error["message"]
    for secret in (HIDDEN[1:], UNSOUND, PREMIUM, NOT_HTTPS):
        assert secret not in answer.text


async def test_no_more_than_some_errors_are_named(api: Api) -> None:
    answer = await api.call("POST", "/bookings", a_request(**{f"f{index}": 0 for index in range(100)}))
    assert len(answer.body["errors"]) == MAX_ERRORS


async def test_a_refusal_that_needs_the_database_has_its_place_too(api: Api) -> None:
    ours = await api.call("POST", "/bookings", a_request(destination=NUMBERS[9]))
    taken = await api.call("POST", "/bookings", a_request(service="+3225559999"))
    assert (ours.code, [error["pointer"] for error in ours.body["errors"]]) == ("destination_is_ours", ["/destination"])
    assert (taken.code, [error["pointer"] for error in taken.body["errors"]]) == ("number_not_free", ["/service"])


async def test_all_unknown_and_repeated_parameters_are_named_without_a_place(api: Api) -> None:
    answer = await api.call("GET", "/bookings?limit=1&limit=2&lable=x&cursor=y")
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.body["errors"] == [
        {"field": "limit", "message": "may be given once"},
        {"field": "lable", "message": "is not a parameter here"},
    ]


async def test_a_bug_in_a_rule_is_not_taken_for_a_wrong_body(api: Api) -> None:
    answer = await api.call("POST", "/bookings", a_request(callback="https://crash.example/", usagePlan="HUGE"))
    assert (answer.status, answer.code) == (500, "internal")
