"""/cdr, /health and /ready."""

import pytest

from engine.domain.ids import CallId
from tests.integration.api_helpers import CALLER, DAY, HIDDEN, SECOND, START, UNKNOWN_CDR, Api

pytest_plugins = ["tests.integration.api_fixtures"]


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
        "hungUpBy": "CALLER",
        "sipCode": 200,
        "hangupCause": 16,
        "furtherCalls": 0,
        "direction": "forward",
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


async def test_health_and_readiness_are_200_when_every_part_is_up_and_need_no_key(api: Api) -> None:
    api.health.last_commit = START
    for path in ("/health", "/ready"):
        answer = await api.call("GET", path, account=None)
        assert answer.status == 200
        assert answer.body == {
            "status": "up",
            "parts": {"engine": "up", "database": "up", "ami": "up", "asterisk": "up"},
            "lastCommit": "2026-03-01T12:00:00.000Z",
            "trunks": {},
        }


@pytest.mark.parametrize(
    ("part", "state"),
    [("engine", "draining"), ("database", "damaged"), ("ami", "connecting"), ("asterisk", "down")],
)
async def test_a_part_that_is_down_is_named_and_ends_readiness_but_not_life(api: Api, part: str, state: str) -> None:
    """A restart would mend none of them, and whoever restarts processes asks /health."""
    api.health.parts[part] = state
    alive, ready = [await api.call("GET", path, account=None) for path in ("/health", "/ready")]
    assert (alive.status, ready.status) == (200, 503)
    assert alive.body == ready.body
    assert (alive.body["status"], alive.body["parts"][part]) == ("down", state)
