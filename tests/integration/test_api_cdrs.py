"""/cdr and /health."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.app import RequestLimits
from engine.domain.ids import CallId
from tests.integration.api_helpers import CALLER, DAY, HIDDEN, SECOND, UNKNOWN_CDR, Api

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(health_seconds=0.2)


async def test_an_answered_call_has_every_field_of_the_contract(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(SECOND)
    await api.talk(booking["service"], CallId("call-1"), 12)
    (record,) = (await api.call("GET", "/cdr")).body["data"]
    assert record == {
        "id": record["id"],
        "timestamp": "2026-03-01T12:00:01.000Z",
        "duration": 12,
        "source": CALLER,
        "destination": HIDDEN,
        "service": booking["service"],
        "bookingId": booking["id"],
        "disposition": "ANSWERED",
    }
    alone = await api.call("GET", f"/cdr/{record['id']}")
    assert (alone.status, alone.body) == (200, record)


async def test_calls_that_were_not_answered_are_listed_with_duration_0(api: Api) -> None:
    booking = await api.book()
    await api.talk(booking["service"], CallId("call-1"), 0)
    api.clock.advance(DAY)
    await api.caller_rings(booking["service"], CallId("call-2"))
    records = (await api.call("GET", "/cdr")).body["data"]
    assert [(one["disposition"], one["duration"]) for one in records] == [("EXPIRED", 0), ("BUSY", 0)]


async def test_a_record_keeps_the_destination_of_its_call(api: Api) -> None:
    booking = await api.book()
    await api.talk(booking["service"], CallId("call-1"), 1)
    change = {"usagePlan": "SMALL", "destination": "+442079460958"}
    await api.call("PUT", f"/bookings/{booking['id']}", change)
    (record,) = (await api.call("GET", "/cdr")).body["data"]
    assert record["destination"] == HIDDEN


@pytest.mark.parametrize("bad", [UNKNOWN_CDR, "cdr_1", "%00", "bkg_" + "0" * 32, "cdr_" + "A" * 32])
async def test_an_unknown_record_id_answers_404(api: Api, bad: str) -> None:
    answer = await api.call("GET", f"/cdr/{bad}")
    assert (answer.status, answer.code) == (404, "not_found")


async def test_health_is_200_when_every_part_is_up_and_needs_no_key(api: Api) -> None:
    answer = await api.call("GET", "/health", account=None)
    assert answer.status == 200
    assert answer.body == {"status": "up", "parts": {"database": "up", "ami": "up", "asterisk": "up"}}


@pytest.mark.parametrize("state", ["down", "connecting"])
@pytest.mark.parametrize("part", ["database", "ami", "asterisk"])
async def test_health_is_503_and_names_the_part_that_is_down(api: Api, part: str, state: str) -> None:
    api.health.parts[part] = state
    answer = await api.call("GET", "/health", account=None)
    assert answer.status == 503
    assert answer.body["status"] == "down"
    assert answer.body["parts"][part] == state


async def fail() -> None:
    raise RuntimeError("no health today")


async def hang() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("check", [fail, hang])
async def test_health_is_503_when_its_check_fails_or_hangs(api: Api, check: Callable[[], Awaitable[None]]) -> None:
    api.health.behave = check
    answer = await api.call("GET", "/health", account=None)
    assert (answer.status, answer.body) == (503, {"status": "down", "parts": {}})
