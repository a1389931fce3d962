"""GET /usage: the statement by day and booking adds up to the ledger and to the call records."""

from typing import Any

import pytest

from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.rejections import REJECTIONS
from tests.integration.api_helpers import DAY, TESTED, Api

pytest_plugins = ["tests.integration.api_fixtures"]

COUNTS = ("answered", "missed", "refused", "seconds")


def counts(of: dict[str, Any]) -> tuple[int, ...]:
    return tuple(of[name] for name in COUNTS)


async def usage(api: Api, query: str = "", account: str = "ours") -> Any:
    answer = await api.call("GET", f"/usage{query}", account=account)
    assert answer.status == 200, answer.text
    return answer.body


async def test_the_statement_adds_up_to_the_ledger_by_day_and_booking(api: Api) -> None:
    first, second = await api.book(usagePlan="LARGE"), await api.book(usagePlan="SMALL")
    theirs = await api.book(account="theirs")
    for number, (booking, seconds, later) in enumerate(
        [
            (first, 12, 0),
            (second, 30, 0),
            (first, 0, 0),
            (theirs, 7, 0),
            (first, 5, DAY),
            (second, 20, 0),
            (second, 9, 0),
        ]
    ):
        api.clock.advance(later)
        await api.talk(booking["service"], CallId(f"call-{number}"), seconds)
    api.clock.advance(1)
    found = await usage(api)
    assert [(line["day"], line["bookingId"], line["service"], counts(line)) for line in found["data"]] == [
        ("2026-03-01", first["id"], first["service"], (1, 1, 0, 12)),
        ("2026-03-01", second["id"], second["service"], (1, 0, 0, 30)),
        ("2026-03-02", first["id"], first["service"], (1, 0, 0, 5)),
        ("2026-03-02", second["id"], second["service"], (0, 0, 2, 0)),
    ]
    assert counts(found) == (3, 1, 2, 47)
    assert counts(found) == tuple(sum(line[name] for line in found["data"]) for name in COUNTS)
    ledger = await api.storage.run(
        lambda tx: dict(tx.bookings._db.execute("SELECT id, seconds_settled FROM bookings").fetchall())
    )
    assert [line["cost"] for line in found["data"]] == [[], [{"amount": 990, "currency": "EUR"}], [], []]
    assert found["cost"] == [{"amount": 990, "currency": "EUR"}]
    for booking_id in (first["id"], second["id"]):
        lines = [line["seconds"] for line in found["data"] if line["bookingId"] == booking_id]
        assert sum(lines) == ledger[booking_id]
    assert counts(await usage(api, account="theirs")) == (1, 0, 0, 7)
    assert counts(await usage(api, account=TESTED)) == (0, 0, 0, 0)


async def test_an_unanswered_call_counts_as_refused_if_a_rule_refused_it_and_as_missed_otherwise(api: Api) -> None:
    """UNREACHABLE is missed, also where no trunk was up."""
    booking = await api.book()
    await api.talk(booking["service"], CallId("call-1"), 0)
    api.clock.advance(1)
    refused = {each.disposition for each in REJECTIONS.values()} - {Disposition.UNREACHABLE}
    for disposition in set(Disposition) - {Disposition.ANSWERED}:
        await api.storage.run(
            lambda tx, value: tx.bookings._db.execute("UPDATE cdrs SET disposition = :value", {"value": value}),
            disposition,
        )
        assert counts(await usage(api)) == ((0, 0, 1, 0) if disposition in refused else (0, 1, 0, 0)), disposition


async def test_a_statement_outlives_its_booking_and_has_refused_calls_and_costs_without_any_call(api: Api) -> None:
    booking = await api.book()
    await api.call("PATCH", f"/bookings/{booking['id']}", {"paused": True})
    for number in range(25):
        await api.caller_rings(booking["service"], CallId(f"call-{number}"))
    api.clock.advance(1)
    await api.call("DELETE", f"/bookings/{booking['id']}")
    await api.book(account=TESTED)
    await api.call("PUT", f"/bookings/{(await api.book())['id']}", {"usagePlan": "SMALL"})
    api.clock.advance(1)
    found = await usage(api)
    assert (counts(found), len(found["data"])) == ((0, 0, 25, 0), 2)
    assert found["cost"] == [{"amount": 3 * 990, "currency": "EUR"}]
    assert (await usage(api, account=TESTED))["cost"] == [{"amount": 990, "currency": "EUR"}]


async def test_the_span_is_from_from_up_to_to_and_thirty_days_by_default(api: Api) -> None:
    booking = await api.book(usagePlan="LARGE")
    await api.talk(booking["service"], CallId("call-1"), 1)
    api.clock.advance(DAY)
    await api.talk(booking["service"], CallId("call-2"), 2)
    api.clock.advance(1)
    for query, seconds in (
        ("", 3),
        ("?from=2026-03-01T12:00:00Z", 3),
        ("?from=2026-03-01T12:00:00.001Z", 2),
        ("?to=2026-03-02T12:00:00Z", 1),
        ("?to=2026-03-02T14:00:00.001%2B02:00", 3),
        ("?from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", 0),
    ):
        assert (await usage(api, query))["seconds"] == seconds, query
    assert ((await usage(api))["from"], (await usage(api))["to"]) == (
        "2026-01-31T12:00:00.001Z",
        "2026-03-02T12:00:00.001Z",
    )
    api.clock.advance(30 * DAY)
    assert (await usage(api))["seconds"] == 0


REFUSED = {
    "from=2025-11-28T00:00:00Z": "from",
    "to=yesterday": "to",
    "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z": "from",
    "from=2027-01-01T00:00:00Z": "from",
    "to=0001-01-01T00:00:00Z": "from",
    "from=0001-01-01T00:00:00%2B14:00&to=0001-01-01T00:00:00Z": "from",
    "from=9999-12-31T23:59:59Z&to=9999-12-31T23:59:59-14:00": "to",
}


async def test_a_span_that_is_too_long_or_none_is_refused(api: Api) -> None:
    for query, field in REFUSED.items():
        answer = await api.call("GET", f"/usage?{query}")
        assert (answer.status, answer.body["errors"][0]["field"]) == (400, field)


async def test_a_statement_with_too_many_lines_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.resources.usage.MAX_LINES", 1)
    for number in range(2):
        assert (await api.call("GET", "/usage")).status == 200
        await api.talk((await api.book())["service"], CallId(f"call-{number}"), 1)
        api.clock.advance(1)
    answer = await api.call("GET", "/usage")
    assert (answer.code, answer.body["errors"][0]["field"]) == ("invalid_parameter", "to")
