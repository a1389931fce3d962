"""POST, GET and DELETE of one booking, in every detail that docs/api.md describes."""

import asyncio
import time

import pytest

from engine.bookings.number_pool import import_numbers
from engine.domain.ids import CallId
from tests.integration.api_helpers import (
    CALLBACK,
    DAY,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    POLICY,
    SECOND,
    START,
    UNKNOWN_BOOKING,
    Api,
    a_request,
)

pytest_plugins = ["tests.integration.api_fixtures"]


async def test_a_new_booking_has_every_field_of_the_contract(api: Api) -> None:
    answer = await api.call("POST", "/bookings", a_request())
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    booking_id = answer.body["id"]
    assert answer.headers["Location"] == f"/bookings/{booking_id}"
    assert answer.body == {
        "id": booking_id,
        "service": NUMBERS[0],
        "serviceLink": f"tel:{NUMBERS[0]}",
        "serviceNational": "02 555 00 00",
        "startTime": "2026-03-01T12:00:00.000Z",
        "endTime": "2026-03-02T12:00:00.000Z",
        "secondsRemaining": 90,
        "minutesRemaining": 1,
        "callsRemaining": 2,
        "destination": HIDDEN,
        "participants": None,
        "usagePlan": "SMALL",
        "status": "ACTIVE",
        "callback": CALLBACK,
        "createdAt": "2026-03-01T12:00:00.000Z",
        "maxConcurrentCalls": None,
        "maxCallsPerCallerPerHour": None,
        "maxCallSeconds": None,
        "callerId": "caller",
        "refuseAnonymous": False,
        "paused": False,
        "hours": None,
        "label": None,
        "metadata": {},
        "language": "en",
        "whisper": False,
        "screening": "none",
        "reverse": False,
        "greeting": False,
        "acceptFormerCallers": False,
        "beep": False,
    }


async def test_a_booking_reads_as_created_and_at_its_location(api: Api) -> None:
    made = await api.call("POST", "/bookings", a_request())
    seen = await api.call("GET", made.headers["Location"])
    assert (seen.status, seen.body) == (200, made.body)


@pytest.mark.parametrize(
    ("plan", "seconds", "calls", "end"),
    [
        ("SMALL", 90, 2, "2026-03-02T12:00:00.000Z"),
        ("MEDIUM", 300, 10, "2026-03-08T12:00:00.000Z"),
        ("LARGE", 3_600, 100, "2026-03-31T12:00:00.000Z"),
    ],
)
async def test_each_plan_gives_its_seconds_calls_and_days(
    api: Api, plan: str, seconds: int, calls: int, end: str
) -> None:
    body = await api.book(usagePlan=plan)
    assert (body["secondsRemaining"], body["callsRemaining"], body["endTime"]) == (seconds, calls, end)
    assert body["minutesRemaining"] == seconds // 60


async def test_head_answers_like_get_without_a_body(api: Api) -> None:
    booking = await api.book()
    for path in ("/bookings", f"/bookings/{booking['id']}", "/cdr", "/health"):
        answer = await api.call("HEAD", path)
        assert (answer.status, answer.text) == (200, "")


async def test_the_lease_of_a_live_call_is_not_remaining_and_returns_at_its_end(api: Api) -> None:
    booking = await api.book()
    await api.caller_rings(booking["service"], CallId("call-1"))
    during = await api.see(booking["id"])
    assert (during["secondsRemaining"], during["minutesRemaining"], during["callsRemaining"]) == (30, 0, 1)
    await api.talk(booking["service"], CallId("call-1"), 0)
    after = await api.see(booking["id"])
    assert (after["secondsRemaining"], after["minutesRemaining"], after["callsRemaining"]) == (90, 1, 2)


async def test_a_booking_is_active_until_its_end_and_expired_from_then_on(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY - 1)
    assert (await api.see(booking["id"]))["status"] == "ACTIVE"
    api.clock.advance(1)
    assert (await api.see(booking["id"]))["status"] == "EXPIRED"


async def test_a_booking_without_calls_left_is_expired(api: Api) -> None:
    booking = await api.book()
    for call_id in ("call-1", "call-2"):
        await api.talk(booking["service"], CallId(call_id), 10)
    seen = await api.see(booking["id"])
    assert (seen["status"], seen["callsRemaining"], seen["secondsRemaining"]) == ("EXPIRED", 0, 70)
    assert seen["endTime"] == booking["endTime"]


async def test_an_expired_booking_is_shown_until_its_grace_ends(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY + POLICY.grace_ms - 1)
    assert (await api.see(booking["id"]))["status"] == "EXPIRED"
    api.clock.advance(1)
    gone = await api.call("GET", f"/bookings/{booking['id']}")
    assert (gone.status, gone.code) == (404, "gone")


async def test_delete_answers_204_and_the_booking_is_gone(api: Api) -> None:
    booking = await api.book()
    path = f"/bookings/{booking['id']}"
    answer = await api.call("DELETE", path)
    assert (answer.status, answer.text) == (204, "")
    for method, body in (("GET", None), ("PUT", {"usagePlan": "SMALL"}), ("DELETE", None)):
        again = await api.call(method, path, body)
        assert (again.status, again.code) == (404, "gone")
    assert (await api.call("GET", "/bookings?includeExpired=true")).body["data"] == []


async def test_an_expired_booking_can_be_deleted(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY)
    assert (await api.call("DELETE", f"/bookings/{booking['id']}")).status == 204


async def test_delete_quarantines_the_number(api: Api) -> None:
    booking = await api.book()
    await api.call("DELETE", f"/bookings/{booking['id']}")

    number = await api.storage.run(lambda tx: tx.numbers.page("", "QUARANTINED", 100))
    assert [(one.e164, one.quarantined_until) for one in number] == [(booking["service"], START + POLICY.quarantine_ms)]


async def test_delete_hangs_up_the_calls_of_this_booking_only(api: Api) -> None:
    doomed, other = await api.book(), await api.book()
    await api.caller_rings(doomed["service"], CallId("call-1"))
    await api.talk(doomed["service"], CallId("call-2"), 0)
    await api.caller_rings(other["service"], CallId("call-3"))
    await api.call("DELETE", f"/bookings/{doomed['id']}")
    assert api.asterisk.hung_up == ["call-1"]


async def test_delete_without_live_calls_does_not_ask_asterisk(api: Api) -> None:
    async def never() -> None:
        pytest.fail("asked to hang up nobody")

    api.asterisk.behave = never
    booking = await api.book()
    assert (await api.call("DELETE", f"/bookings/{booking['id']}")).status == 204


async def test_delete_succeeds_when_the_hangup_fails(api: Api) -> None:
    async def fail() -> None:
        raise ConnectionError("no Asterisk")

    api.asterisk.behave = fail
    booking = await api.book()
    await api.caller_rings(booking["service"], CallId("call-1"))
    assert (await api.call("DELETE", f"/bookings/{booking['id']}")).status == 204
    assert (await api.call("GET", f"/bookings/{booking['id']}")).code == "gone"


async def test_delete_waits_no_longer_than_two_seconds_for_asterisk(api: Api) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    api.asterisk.behave = hang
    booking = await api.book()
    await api.caller_rings(booking["service"], CallId("call-1"))
    begun = time.monotonic()
    assert (await api.call("DELETE", f"/bookings/{booking['id']}")).status == 204
    assert time.monotonic() - begun < 30


async def test_a_settled_call_of_a_deleted_booking_still_has_its_record(api: Api) -> None:
    booking = await api.book()
    await api.talk(booking["service"], CallId("call-1"), 7)
    await api.call("DELETE", f"/bookings/{booking['id']}")
    records = (await api.call("GET", "/cdr")).body["data"]
    assert [(one["service"], one["duration"]) for one in records] == [(booking["service"], 7)]


@pytest.mark.parametrize(
    "bad", [UNKNOWN_BOOKING, "bkg_1", "x", "%00", "%ff", "bkg_" + "0" * 4000, "..%2fcdr", "%D9%A1"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_booking_id_answers_404(api: Api, method: str, bad: str) -> None:
    body = {"usagePlan": "SMALL"} if method == "PUT" else None
    answer = await api.call(method, f"/bookings/{bad}", body)
    assert (answer.status, answer.code) == (404, "not_found")


async def test_a_number_imported_later_is_refused_as_a_destination(api: Api) -> None:
    await api.storage.run(import_numbers, [(1, OTHER_HIDDEN)], START)
    answer = await api.call("POST", "/bookings", a_request(destination=OTHER_HIDDEN))
    assert (answer.status, answer.code) == (422, "destination_is_ours")


async def test_times_have_milliseconds_and_a_z(api: Api) -> None:
    api.clock.advance(SECOND + 234)
    booking = await api.book()
    assert booking["createdAt"] == "2026-03-01T12:00:01.234Z"
    assert booking["endTime"] == "2026-03-02T12:00:01.234Z"


async def test_a_booking_can_begin_later(api: Api) -> None:
    booking = await api.book(startTime="2026-03-05T09:30:00.5+01:00")
    times = {name: booking[name] for name in ("startTime", "endTime", "createdAt", "status")}
    assert times == {
        "startTime": "2026-03-05T08:30:00.500Z",
        "endTime": "2026-03-06T08:30:00.500Z",
        "createdAt": "2026-03-01T12:00:00.000Z",
        "status": "ACTIVE",
    }
    assert await api.see(booking["id"]) == booking
    why = (await api.call("GET", f"/bookings/{booking['id']}/explain")).body
    assert (why["reason"], why["putThrough"]) == ("not_begun", False)
    assert why["message"] == "The booking begins at 2026-03-05T08:30:00.500Z."
    for start, code in (
        ("2027-03-02T12:00:00Z", "booking_too_long"),
        ("2026-03-05", "invalid_request"),
        ("2026-03-05T09:30:00", "invalid_request"),
        (1_772_366_400, "invalid_request"),
        (None, "invalid_request"),
    ):
        answer = await api.call("POST", "/bookings", a_request(startTime=start))
        assert (answer.status, answer.code, start) == (422, code, start)
