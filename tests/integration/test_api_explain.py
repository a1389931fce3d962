"""GET /bookings/{id}/explain: the whole decision, who may read it, and that it changes nothing."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.schemas.explanations import ExplanationBody
from engine.bookings.number_pool import import_numbers
from engine.domain.explanation import LimitedBy
from engine.domain.ids import CallId
from engine.domain.rejections import Reason
from tests.integration.api_helpers import CALLER, DAY, HIDDEN, POLICY, START, UNKNOWN_BOOKING, Answer, Api

pytest_plugins = ["tests.integration.api_fixtures"]

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
DIGITS = HIDDEN[-6:]


async def ask(api: Api, booking: Any, source: str | None = CALLER, **options: Any) -> Answer:
    query = "" if source is None else f"?source={quote(source)}"
    return await api.call("GET", f"/bookings/{booking['id']}/explain{query}", **options)


async def explained(api: Api, booking: Any, source: str | None = CALLER) -> Any:
    answer = await ask(api, booking, source)
    assert answer.status == 200, answer.text
    assert DIGITS not in answer.text
    return answer.body


async def test_a_call_that_would_be_bridged_is_explained_in_full(api: Api) -> None:
    booking = await api.book(maxConcurrentCalls=4, maxCallSeconds=20)
    assert await explained(api, booking) == {
        "bookingId": booking["id"],
        "service": booking["service"],
        "source": CALLER,
        "direction": "forward",
        "at": "2026-03-01T12:00:00.000Z",
        "putThrough": True,
        "reason": "put_through",
        "message": "The call would be put through; answered at once, it could last 20 s.",
        "seconds": 20,
        "limitedBy": "max_call_seconds",
        "status": "ACTIVE",
        "endTime": "2026-03-02T12:00:00.000Z",
        "secondsRemaining": 90,
        "secondsHeld": 0,
        "callsRemaining": 2,
        "callsHeld": 0,
        "callerCallsLastHour": 0,
        "maxConcurrentCalls": 4,
        "maxCallsPerCallerPerHour": None,
        "maxCallSeconds": 20,
    }


async def test_an_explanation_counts_live_calls_and_the_callers_calls(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM")
    await api.caller_rings(booking["service"], CallId("call-1"))
    await api.caller_rings(booking["service"], CallId("call-2"), "+14155550199")
    body = await explained(api, booking)
    assert (body["callsHeld"], body["callsRemaining"], body["callerCallsLastHour"]) == (2, 8, 1)
    assert body["secondsHeld"] + body["secondsRemaining"] == 300
    assert body["secondsHeld"] > 0


async def reasons(api: Api, booking: Any, source: str | None = CALLER) -> tuple[str, str, int, Any]:
    body = await explained(api, booking, source)
    return body["reason"], body["status"], body["seconds"], body["limitedBy"]


async def test_a_booking_past_its_end_is_explained(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY)
    assert await reasons(api, booking) == ("end_reached", "EXPIRED", 0, None)
    assert "2026-03-02T12:00:00.000Z" in (await explained(api, booking))["message"]


async def test_a_booking_without_seconds_or_calls_is_explained(api: Api) -> None:
    seconds, calls = await api.book(), await api.book()
    await api.talk(seconds["service"], CallId("call-1"), 60)
    await api.talk(seconds["service"], CallId("call-2"), 30)
    for call_id in ("call-3", "call-4"):
        await api.talk(calls["service"], CallId(call_id), 1)
    assert await reasons(api, seconds) == ("seconds_spent", "EXPIRED", 0, None)
    assert await reasons(api, calls) == ("calls_spent", "EXPIRED", 0, None)


async def test_seconds_and_calls_held_by_live_calls_are_explained(api: Api) -> None:
    booking = await api.book()
    for call_id in ("call-1", "call-2"):
        await api.caller_rings(booking["service"], CallId(call_id))
    assert await reasons(api, booking) == ("calls_held", "ACTIVE", 0, None)


async def test_the_limits_of_concurrent_calls_and_of_a_caller_are_explained(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM", maxConcurrentCalls=1, maxCallsPerCallerPerHour=1)
    await api.caller_rings(booking["service"], CallId("call-1"))
    assert await reasons(api, booking) == ("caller_limit", "ACTIVE", 0, None)
    assert await reasons(api, booking, None) == ("concurrency_limit", "ACTIVE", 0, None)


async def test_a_destination_that_became_a_rented_number_is_explained(api: Api) -> None:
    booking = await api.book()
    await api.storage.run(import_numbers, [(1, HIDDEN)], START)
    assert await reasons(api, booking) == ("destination_is_ours", "ACTIVE", 0, None)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("", "anonymous"),
        ("?source=anonymous", "anonymous"),
        ("?source=%2B14155550123", CALLER),
        # In a query an unencoded + stands for a space.
        ("?source=+14155550123", CALLER),
        ("?source=0014155550123", CALLER),
        ("?source=14155550123", CALLER),
        ("?source=0470", "0470"),
    ],
)
async def test_a_caller_may_be_written_as_in_calls(api: Api, query: str, source: str) -> None:
    booking = await api.book(usagePlan="MEDIUM")
    await api.caller_rings(booking["service"], CallId("call-1"), source)
    answer = await api.call("GET", f"/bookings/{booking['id']}/explain{query}")
    assert (answer.status, answer.body["source"], answer.body["callerCallsLastHour"]) == (200, source, 1)


@pytest.mark.parametrize(
    "query",
    ["source=", "source=x", "source=%00", "source=%ff", "source=" + "1" * 33, "source=+1+2", "source=%D9%A3", "to=1"],
)
async def test_an_impossible_source_is_refused(api: Api, query: str) -> None:
    booking = await api.book()
    answer = await api.call("GET", f"/bookings/{booking['id']}/explain?{query}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")


async def test_another_accounts_booking_answers_like_an_unknown_one(api: Api) -> None:
    theirs = await api.book(account="theirs")
    foreign = await ask(api, theirs)
    unknown = await ask(api, {"id": UNKNOWN_BOOKING})
    assert (foreign.status, foreign.code) == (404, "not_found")
    assert foreign.text == unknown.text
    assert (await ask(api, theirs, account=None)).status == 401


async def test_a_gone_booking_answers_gone(api: Api) -> None:
    deleted, over = await api.book(), await api.book()
    await api.call("DELETE", f"/bookings/{deleted['id']}")
    assert (await ask(api, deleted)).code == "gone"
    api.clock.advance(DAY + POLICY.grace_ms)
    assert (await ask(api, over)).code == "gone"


async def everything(api: Api) -> Any:
    tables = ("bookings", "calls", "cdrs", "outbox", "numbers")
    questions = [f"SELECT * FROM {table}" for table in tables]  # noqa: S608  names of ours
    return await api.storage.run(lambda tx: [tx.calls._db.execute(each).fetchall() for each in questions])


async def test_an_explanation_changes_no_table(api: Api) -> None:
    active, expired = await api.book(usagePlan="MEDIUM"), await api.book()
    await api.talk(active["service"], CallId("call-1"), 60)
    await api.caller_rings(active["service"], CallId("call-2"))
    await api.talk(expired["service"], CallId("call-3"), 60)
    await api.talk(expired["service"], CallId("call-4"), 30)
    before = await everything(api)
    for booking in (active, expired):
        for source in (CALLER, None):
            first = await explained(api, booking, source)
            assert await explained(api, booking, source) == first
    assert await everything(api) == before


def test_the_guide_explains_every_value_of_an_explanation() -> None:
    fields = {str(field.alias) for field in ExplanationBody.model_fields.values()}
    assert all(f'"{field}": ' in PAGE for field in fields)
    section = PAGE.partition("## Explain")[2].partition("\n## ")[0]
    words = set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)) - fields
    assert words == {str(word) for word in (*Reason, *LimitedBy)}
