"""Limits of a booking over HTTP: allowed values, changes by PUT, and their effect on the next call."""

from typing import Any

import pytest

from engine.domain.ids import CallId
from tests.integration.api_helpers import CALLER, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

MOST = {"maxConcurrentCalls": 1_000, "maxCallsPerCallerPerHour": 10_000, "maxCallSeconds": 86_400}
NONE: dict[str, Any] = dict.fromkeys(MOST)


def limits_of(body: Any) -> dict[str, Any]:
    return {field: body[field] for field in MOST}


async def put(api: Api, booking: Any, **change: Any) -> Any:
    answer = await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "SMALL"} | change)
    assert answer.status == 200, answer.text
    assert answer.body == await api.see(booking["id"])
    return answer.body


async def test_a_booking_without_limits_shows_null_for_each(api: Api) -> None:
    assert limits_of(await api.book()) == NONE


@pytest.mark.parametrize("limits", [MOST, dict.fromkeys(MOST, 1), NONE, {**NONE, "maxCallSeconds": 7}])
async def test_limits_are_stored_and_shown(api: Api, limits: dict[str, Any]) -> None:
    booking = await api.book(**limits)
    assert limits_of(booking) == limits
    assert await api.see(booking["id"]) == booking
    [listed] = (await api.call("GET", "/bookings")).body["data"]
    assert listed == booking


CHANGE = {"usagePlan": "SMALL", "maxCallSeconds": 9.0}
BAD = [0, -1, 0.0, 1.5, "1", True, [], {}, 10**30, -(10**30)]


@pytest.mark.parametrize("field", MOST)
@pytest.mark.parametrize("bad", [*BAD, "most + 1"], ids=repr)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_limit_out_of_bounds_is_refused_and_its_field_named(
    api: Api, field: str, bad: Any, method: str
) -> None:
    booking = await api.book()
    value = MOST[field] + 1 if bad == "most + 1" else bad
    path, body = (
        ("/bookings", a_request()) if method == "POST" else (f"/bookings/{booking['id']}", {"usagePlan": "LARGE"})
    )
    answer = await api.call(method, path, body | {field: value})
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert {error["field"] for error in answer.body["errors"]} == {field}
    assert (await api.call("GET", "/bookings")).body["data"] == [booking]
    assert api.asterisk.renewed == []


async def test_a_whole_number_may_be_written_as_a_float(api: Api) -> None:
    """JSON has one kind of number, and JSON Schema accepts 7.0 as an integer."""
    booking = await api.book(maxCallSeconds=7.0)
    assert limits_of(booking) == {**NONE, "maxCallSeconds": 7}
    assert '"maxCallSeconds":9,' in (await api.call("PUT", f"/bookings/{booking['id']}", CHANGE)).text


async def test_put_keeps_an_omitted_limit_and_removes_a_null_one(api: Api) -> None:
    booking = await api.book(maxConcurrentCalls=2, maxCallSeconds=30)
    assert limits_of(await put(api, booking)) == {**NONE, "maxConcurrentCalls": 2, "maxCallSeconds": 30}
    changed = await put(api, booking, maxConcurrentCalls=None, maxCallsPerCallerPerHour=9)
    assert limits_of(changed) == {**NONE, "maxCallsPerCallerPerHour": 9, "maxCallSeconds": 30}
    assert limits_of(await put(api, booking, **NONE)) == NONE


async def test_put_refuses_null_for_required_fields(api: Api) -> None:
    booking = await api.book(maxConcurrentCalls=2)
    body = {"usagePlan": "SMALL", "callback": None, "maxConcurrentCalls": None}
    answer = await api.call("PUT", f"/bookings/{booking['id']}", body)
    assert (answer.status, answer.code) == (422, "callback_not_acceptable")
    assert await api.see(booking["id"]) == booking


async def test_a_put_of_limits_reaches_the_limit_keeper(api: Api) -> None:
    booking = await api.book(maxCallSeconds=30)
    await put(api, booking, maxCallSeconds=10)
    assert api.asterisk.renewed == [booking["id"]]


async def records(api: Api) -> list[Any]:
    return [(one["disposition"], one["duration"]) for one in (await api.call("GET", "/cdr")).body["data"]]


async def test_a_call_beyond_the_concurrency_limit_has_its_own_disposition(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM", maxConcurrentCalls=1)
    for call_id in ("call-1", "call-2"):
        await api.caller_rings(booking["service"], CallId(call_id))
    assert await records(api) == [("CONCURRENCY_LIMIT", 0)]
    await put(api, booking, maxConcurrentCalls=2)
    await api.caller_rings(booking["service"], CallId("call-3"))
    assert len(await records(api)) == 1


async def test_a_call_beyond_the_callers_limit_has_its_own_disposition(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM", maxCallsPerCallerPerHour=1)
    await api.talk(booking["service"], CallId("call-1"), 3)
    await api.caller_rings(booking["service"], CallId("call-2"))
    await api.caller_rings(booking["service"], CallId("call-3"), "+14155550199")
    answered, refused = ("ANSWERED", 3), ("CALLER_LIMIT", 0)
    assert await records(api) == [refused, answered]
    [refusal, _] = (await api.call("GET", "/cdr")).body["data"]
    assert refusal["source"] == CALLER


async def test_another_accounts_limits_cannot_be_changed(api: Api) -> None:
    theirs = await api.book(account="theirs", maxConcurrentCalls=2)
    body = {"usagePlan": "SMALL", "maxConcurrentCalls": None}
    answer = await api.call("PUT", f"/bookings/{theirs['id']}", body)
    assert (answer.status, answer.code) == (404, "not_found")
    seen = await api.call("GET", f"/bookings/{theirs['id']}", account="theirs")
    assert seen.body == theirs
