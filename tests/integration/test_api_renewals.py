"""PUT of one booking: added credit, revival and changes."""

from typing import Any

import pytest

from engine.domain.ids import CallId
from tests.integration.api_helpers import (
    CALLBACK,
    DAY,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    POLICY,
    Api,
)

pytest_plugins = ["tests.integration.api_fixtures"]


async def renewed(api: Api, booking: Any, **body: Any) -> Any:
    answer = await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "MEDIUM"} | body)
    assert answer.status == 200, answer.text
    assert answer.body == await api.see(booking["id"])
    return answer.body


async def test_put_adds_the_plan_to_what_is_left(api: Api) -> None:
    booking = await api.book()
    await api.talk(booking["service"], CallId("call-1"), 40)
    body = await renewed(api, booking)
    assert (body["secondsRemaining"], body["callsRemaining"]) == (90 - 40 + 300, 1 + 10)
    assert (body["usagePlan"], body["status"]) == ("MEDIUM", "ACTIVE")


async def test_put_before_the_end_extends_from_the_end(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY // 2)
    assert (await renewed(api, booking))["endTime"] == "2026-03-09T12:00:00.000Z"


async def test_put_in_grace_revives_and_counts_from_now(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY + 3 * DAY)
    body = await renewed(api, booking)
    assert (body["status"], body["endTime"]) == ("ACTIVE", "2026-03-12T12:00:00.000Z")
    assert body["secondsRemaining"] == 90 + 300


async def test_put_revives_a_booking_that_ran_out_of_calls_and_keeps_its_later_end(api: Api) -> None:
    booking = await api.book()
    for call_id in ("call-1", "call-2"):
        await api.talk(booking["service"], CallId(call_id), 1)
    body = await renewed(api, booking)
    assert (body["status"], body["callsRemaining"]) == ("ACTIVE", 10)
    assert body["endTime"] == "2026-03-09T12:00:00.000Z"


async def test_put_accepts_a_smaller_plan(api: Api) -> None:
    booking = await api.book(usagePlan="LARGE")
    body = await renewed(api, booking, usagePlan="SMALL")
    assert (body["usagePlan"], body["secondsRemaining"]) == ("SMALL", 3_690)


async def test_put_revives_until_the_last_millisecond_of_grace_and_then_answers_gone(api: Api) -> None:
    first, second = await api.book(), await api.book()
    api.clock.advance(DAY + POLICY.grace_ms - 1)
    await renewed(api, first)
    api.clock.advance(1)
    answer = await api.call("PUT", f"/bookings/{second['id']}", {"usagePlan": "SMALL"})
    assert (answer.status, answer.code) == (404, "gone")


async def test_put_during_a_call_adds_to_the_unleased_credit(api: Api) -> None:
    booking = await api.book()
    await api.caller_rings(booking["service"], CallId("call-1"))
    body = await renewed(api, booking)
    assert (body["secondsRemaining"], body["callsRemaining"]) == (30 + 300, 1 + 10)


async def test_put_keeps_destination_and_callback_that_are_left_out(api: Api) -> None:
    booking = await api.book()
    body = await renewed(api, booking)
    assert (body["destination"], body["callback"], body["service"]) == (HIDDEN, CALLBACK, booking["service"])
    other = "https://other.example/calls"
    body = await renewed(api, booking, destination=OTHER_HIDDEN, callback=other)
    assert (body["destination"], body["callback"]) == (OTHER_HIDDEN, other)
    assert (body["service"], body["createdAt"]) == (booking["service"], booking["createdAt"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"destination": "+32"}, "invalid_destination"),
        ({"destination": NUMBERS[3]}, "destination_is_ours"),
        ({"callback": "http://plain.example"}, "callback_not_acceptable"),
        ({"usagePlan": "HUGE"}, "unknown_plan"),
        ({"destination": None}, "invalid_destination"),
        ({"callback": None}, "callback_not_acceptable"),
    ],
)
async def test_a_refused_put_changes_nothing(api: Api, change: dict[str, Any], code: str) -> None:
    booking = await api.book()
    answer = await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "MEDIUM"} | change)
    assert (answer.status, answer.code) == (422, code)
    assert await api.see(booking["id"]) == booking


async def test_put_cannot_renew_beyond_the_horizon(api: Api) -> None:
    booking = await api.book(usagePlan="LARGE")
    path = f"/bookings/{booking['id']}"
    answers = [await api.call("PUT", path, {"usagePlan": "LARGE"}) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 422]
    assert answers[-1].code == "booking_too_long"
    assert (await api.see(booking["id"]))["secondsRemaining"] == 3 * 3_600
