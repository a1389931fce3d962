"""/account: an account reads its own data and chooses the events of its callbacks."""

import json
from typing import Any

import pytest

from engine.accounts.accounts import set_limits
from engine.accounts.lifecycle import resume, suspend
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from tests.integration.api_helpers import DAY, MAX_BOOKINGS, POLICY, TESTED, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]


async def choose(api: Api, events: Any, account: str = "ours") -> Any:
    return await api.call("PUT", "/account", {"events": events}, account=account)


async def used(api: Api, account: str = "ours") -> tuple[int, int, int]:
    seen = (await api.call("GET", "/account", account=account)).body
    return seen["bookingsHeld"], seen["numbersInQuarantine"], seen["newBookingsLastDay"]


async def told(api: Api) -> list[dict[str, Any]]:
    rows = await api.storage.run(lambda tx: list(tx.outbox._db.execute("SELECT body FROM outbox ORDER BY id")))
    return [json.loads(row["body"]) for row in rows]


async def test_an_account_shows_its_own_figures(api: Api) -> None:
    seen = (await api.call("GET", "/account")).body
    assert seen.pop("id").startswith("acc_")
    assert seen == {
        "name": "ours",
        "state": "ACTIVE",
        "suspendedAt": None,
        "events": [],
        "frameOrigin": None,
        "createdAt": "2026-03-01T12:00:00.000Z",
        "maxBookings": MAX_BOOKINGS,
        "bookingsHeld": 0,
        "numbersInQuarantine": 0,
        "maxNewBookingsADay": 200,
        "newBookingsLastDay": 0,
        "maxCallsAtOnce": 100,
        "callsUp": 0,
    }
    first, _ = await api.book(), await api.book()
    assert await used(api) == (2, 0, 2)
    await api.call("DELETE", f"/bookings/{first['id']}")
    assert await used(api) == (1, 1, 2)
    api.clock.advance(DAY)
    assert await used(api) == (1, 1, 0)
    # Before any sweep, and whether its booking is still held by then or not.
    api.clock.advance(POLICY.quarantine_ms - DAY)
    assert await used(api) == (1, 0, 0)
    assert await used(api, "theirs") == (0, 0, 0)


async def test_the_origin_that_may_show_the_portal_is_set_and_removed_by_the_account_alone(api: Api) -> None:
    async def origin(account: str = "ours") -> Any:
        return (await api.call("GET", "/account", account=account)).body["frameOrigin"]

    for sent, stays in (
        ({"frameOrigin": "https://www.customer.example"}, "https://www.customer.example"),
        ({}, "https://www.customer.example"),
        ({"frameOrigin": "https://customer.example:8443"}, "https://customer.example:8443"),
        ({"frameOrigin": None}, None),
    ):
        answer = await api.call("PUT", "/account", {"events": ["call.missed"], **sent})
        assert (answer.body["frameOrigin"], await origin(), await origin("theirs")) == (stays, stays, None)
    for wrong in (
        "http://www.customer.example",
        "https://www.customer.example/",
        "https://www.customer.example:443",
        "https://www.customer.example:65536",
        "https://WWW.customer.example",
        "https://*.customer.example",
        "https://customer",
        "https://a@customer.example",
        "https://customer.example; script-src *",
        "https://customer.example https://other.example",
        "https://" + "a" * 300 + ".example",
        "'none'",
        "*",
        "",
        1,
    ):
        answer = await api.call("PUT", "/account", {"events": [], "frameOrigin": wrong})
        assert (answer.status, answer.body["errors"][0]["field"]) == (422, "frameOrigin"), wrong
    assert (await api.call("GET", "/account")).body["events"] == ["call.missed"], "a refused change changes nothing"


async def test_a_sandbox_has_the_limits_of_its_account_but_none_for_a_day(api: Api) -> None:
    await api.storage.run(set_limits, "ours", {"max_bookings": 3, "new_bookings_a_day": 1})
    for _ in range(3):
        booking = await api.book(account=TESTED)
    assert (await api.call("POST", "/bookings", a_request(), account=TESTED)).code == "quota_reached"
    await api.call("DELETE", f"/bookings/{booking['id']}", account=TESTED)
    await api.book(account=TESTED)
    seen = (await api.call("GET", "/account", account=TESTED)).body
    assert (seen["maxBookings"], seen["maxNewBookingsADay"]) == (3, None)
    assert await used(api, TESTED) == (3, 0, 4)
    assert await used(api) == (0, 0, 0)
    await api.book()


async def test_chosen_events_replace_earlier_ones_for_this_account_only(api: Api) -> None:
    for chosen in (["booking.gone", "call.missed"], list(EventType), ["call.started"], []):
        changed = await choose(api, chosen)
        assert changed.status == 200
        assert changed.body["events"] == [kind for kind in EventType if kind in chosen]
        assert changed.body == (await api.call("GET", "/account")).body
        assert changed.body == (await choose(api, chosen)).body
    await choose(api, ["call.missed"])
    assert (await api.call("GET", "/account", account="theirs")).body["events"] == []


@pytest.mark.parametrize(
    "events",
    [
        None,
        "call.missed",
        ["call.misse"],
        ["CALL.MISSED"],
        ["call.missed", "call.missed"],
        ["call.missed", None],
        [["call.missed"]],
        ["call.missed,call.started"],
        ["call.missed"] * 1000,
        {"call.missed": True},
    ],
)
async def test_a_bad_list_of_events_is_refused_and_changes_nothing(api: Api, events: Any) -> None:
    await choose(api, ["booking.gone"])
    refused = await choose(api, events)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert {error["field"] for error in refused.body["errors"]} == {"events"}
    assert (await api.call("GET", "/account")).body["events"] == ["booking.gone"]


async def test_only_the_events_of_an_account_can_be_changed(api: Api) -> None:
    before = (await api.call("GET", "/account")).body
    for field, value in (("name", "x"), ("id", "acc_1"), ("maxBookings", 10**6)):
        refused = await api.call("PUT", "/account", {"events": [], field: value})
        assert (refused.status, refused.body["errors"][0]["field"]) == (422, field)
    assert (await api.call("GET", "/account")).body == before


async def test_a_choice_of_events_applies_from_the_next_call(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM")
    await api.talk(booking["service"], CallId("c1"), 0)
    await choose(api, ["call.missed", "booking.gone"])
    await api.talk(booking["service"], CallId("c2"), 0)
    await api.call("DELETE", f"/bookings/{booking['id']}")
    missed, gone = await told(api)
    assert (missed["type"], missed["bookingId"], missed["disposition"]) == ("call.missed", booking["id"], "BUSY")
    assert (gone["type"], gone["reason"]) == ("booking.gone", "deleted")


async def test_a_suspended_account_and_its_sandbox_see_their_state_and_nothing_else(api: Api) -> None:
    booking = await api.book()
    await api.storage.run(suspend, "ours", "unpaid since March", api.clock.now())
    requests: tuple[tuple[str, str, Any], ...] = (
        *(
            ("GET", path, None)
            for path in ("/bookings", "/cdr", f"/bookings/{booking['id']}", "/callbacks", "/nowhere")
        ),
        ("POST", "/bookings", a_request()),
        ("DELETE", f"/bookings/{booking['id']}", None),
        ("PUT", "/account", {"events": []}),
    )
    for account in ("ours", TESTED):
        answers = [await api.call(method, path, body, account=account) for method, path, body in requests]
        assert [(each.status, each.code) for each in answers] == [
            (404, "not_found") if path == "/nowhere" else (403, "account_suspended") for _, path, _ in requests
        ]
        seen = await api.call("GET", "/account", account=account)
        assert (seen.body["state"], seen.body["suspendedAt"]) == ("SUSPENDED", "2026-03-01T12:00:00.000Z")
        assert "unpaid" not in seen.text
    assert (await api.call("GET", "/bookings", account="theirs")).status == 200
    await api.storage.run(resume, "ours")
    assert (await api.see(booking["id"]))["status"] == "ACTIVE"
    seen = (await api.call("GET", "/account", account=TESTED)).body
    assert (seen["state"], seen["suspendedAt"]) == ("ACTIVE", None)
