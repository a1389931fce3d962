"""The caller ID of a booking, anonymous callers and blocked callers, over HTTP."""

from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from engine.bookings.blocked_callers import MAX_BLOCKED_CALLERS
from engine.bookings.endings import sweep
from engine.domain.ids import CallId
from tests.integration.api_helpers import CALLER, DAY, POLICY, Answer, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

OTHER_CALLER = "+14155550199"
NO_CHOICES: list[Any] = ["CALLER", "", "withheld", 1, None, [], {}]
NO_FLAGS: list[Any] = ["true", 1, 0, None, []]
NO_LANGUAGES = ["", "EN", "es", "nl-BE", None, 1]


def blocked_path(booking: Any, caller: str = "") -> str:
    return f"/bookings/{booking['id']}/blocked-callers" + (f"/{quote(caller, safe='')}" if caller else "")


async def block(api: Api, booking: Any, caller: str = CALLER) -> Answer:
    return await api.call("POST", blocked_path(booking), {"caller": caller})


async def blocked(api: Api, booking: Any) -> list[str]:
    return [each["caller"] for each in (await api.call("GET", blocked_path(booking))).body["data"]]


async def put(api: Api, booking: Any, **change: Any) -> Answer:
    return await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "SMALL"} | change)


async def dispositions(api: Api) -> list[str]:
    return [record["disposition"] for record in (await api.call("GET", "/cdr")).body["data"]]


async def explained(api: Api, booking: Any, source: str) -> tuple[str, bool]:
    answer = await api.call("GET", f"/bookings/{booking['id']}/explain?source={quote(source, safe='')}")
    return answer.body["reason"], answer.body["putThrough"]


async def test_a_booking_shows_the_callers_number_and_takes_all_callers_by_default(api: Api) -> None:
    booking = await api.book()
    assert (booking["callerId"], booking["refuseAnonymous"], booking["reverse"]) == ("caller", False, False)


@pytest.mark.parametrize("choice", ["caller", "service", "anonymous"])
async def test_a_caller_option_is_stored_shown_and_kept_by_a_put_without_it(api: Api, choice: str) -> None:
    booking = await api.book(callerId=choice, refuseAnonymous=True, reverse=True)
    assert (booking["callerId"], booking["refuseAnonymous"], booking["reverse"]) == (choice, True, True)
    assert await api.see(booking["id"]) == booking
    kept = (await put(api, booking)).body
    assert (kept["callerId"], kept["refuseAnonymous"], kept["reverse"]) == (choice, True, True)
    changed = (await put(api, booking, callerId="service", refuseAnonymous=False, reverse=False)).body
    assert (changed["callerId"], changed["refuseAnonymous"], changed["reverse"]) == ("service", False, False)
    assert await api.see(booking["id"]) == changed


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *product(["callerId"], NO_CHOICES),
        *product(["refuseAnonymous", "whisper", "reverse", "greeting", "acceptFormerCallers", "beep"], NO_FLAGS),
        *product(["language"], NO_LANGUAGES),
        *product(["screening"], ["", "PRESS1", "press2", None, 1, True]),
    ],
    ids=repr,
)
async def test_a_bad_caller_option_is_refused_and_its_field_named(api: Api, method: str, field: str, bad: Any) -> None:
    booking = await api.book()
    path = "/bookings" if method == "POST" else f"/bookings/{booking['id']}"
    body = a_request() if method == "POST" else {"usagePlan": "LARGE"}
    answer = await api.call(method, path, body | {field: bad})
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert {error["field"] for error in answer.body["errors"]} == {field}
    assert (await api.call("GET", "/bookings")).body["data"] == [booking]


async def test_anonymous_callers_are_refused_recorded_and_explained(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM", refuseAnonymous=True)
    await api.caller_rings(booking["service"], CallId("call-1"), "anonymous")
    assert await dispositions(api) == ["ANONYMOUS_REFUSED"]
    assert await explained(api, booking, "anonymous") == ("anonymous_refused", False)
    assert await explained(api, booking, CALLER) == ("put_through", True)
    await put(api, booking, refuseAnonymous=False)
    assert await explained(api, booking, "anonymous") == ("put_through", True)


async def test_a_caller_is_blocked_listed_refused_explained_and_unblocked(api: Api) -> None:
    booking = await api.book(usagePlan="MEDIUM")
    answer = await block(api, booking)
    assert (answer.status, answer.body) == (201, {"caller": CALLER, "createdAt": "2026-03-01T12:00:00.000Z"})
    assert answer.headers["Location"] == blocked_path(booking, CALLER)
    assert (await api.call("GET", blocked_path(booking))).body["data"] == [answer.body]

    await api.caller_rings(booking["service"], CallId("call-1"))
    assert await dispositions(api) == ["CALLER_BLOCKED"]
    assert await explained(api, booking, CALLER) == ("caller_blocked", False)
    assert await explained(api, booking, OTHER_CALLER) == ("put_through", True)

    assert (await api.call("DELETE", answer.headers["Location"])).status == 204
    assert await blocked(api, booking) == []
    assert await explained(api, booking, CALLER) == ("put_through", True)


async def test_blocking_a_blocked_caller_changes_nothing_and_answers_200(api: Api) -> None:
    booking = await api.book()
    first = await block(api, booking)
    api.clock.advance(5_000)
    again = await block(api, booking)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Location"] == first.headers["Location"]
    assert await blocked(api, booking) == [CALLER]


async def test_a_caller_is_blocked_on_one_booking_and_not_on_another(api: Api) -> None:
    booking, other = await api.book(), await api.book()
    await block(api, booking)
    assert await blocked(api, other) == []
    assert await explained(api, other, CALLER) == ("put_through", True)


async def test_a_plus_in_the_path_needs_no_encoding(api: Api) -> None:
    booking = await api.book()
    await block(api, booking)
    assert (await api.call("DELETE", f"{blocked_path(booking)}/{CALLER}")).status == 204


@pytest.mark.parametrize("caller", [OTHER_CALLER, "14155550123", "x", "anonymous", "+1415555012%00"])
async def test_unblocking_a_caller_who_is_not_blocked_answers_404(api: Api, caller: str) -> None:
    booking = await api.book()
    await block(api, booking)
    answer = await api.call("DELETE", f"{blocked_path(booking)}/{caller}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert await blocked(api, booking) == [CALLER]


@pytest.mark.parametrize(
    "bad", ["", "14155550123", "0014155550123", "+0123456789", "+1", "anonymous", "+1415555012\n", "+1\0", "x" * 33, 1]
)
async def test_a_bad_number_cannot_be_blocked(api: Api, bad: Any) -> None:
    booking = await api.book()
    answer = await api.call("POST", blocked_path(booking), {"caller": bad})
    assert (answer.status, answer.code) == (422, "invalid_caller")
    assert [error["field"] for error in answer.body["errors"]] == ["caller"]
    assert await blocked(api, booking) == []


@pytest.mark.parametrize("body", [{}, {"caller": CALLER, "reason": "spam"}, []])
async def test_a_body_with_extra_or_missing_fields_is_refused(api: Api, body: Any) -> None:
    answer = await api.call("POST", blocked_path(await api.book()), body)
    assert (answer.status, answer.code) == (422, "invalid_request")


async def test_a_full_list_refuses_more_until_a_caller_is_unblocked(api: Api) -> None:
    booking = await api.book()
    numbers = [f"+1415{number:07}" for number in range(MAX_BLOCKED_CALLERS)]

    def fill(tx: Any) -> None:
        tx.blocked._db.executemany(
            "INSERT INTO blocked_callers VALUES (?, ?, 1)", [(booking["id"], number) for number in numbers]
        )

    await api.storage.run(fill)
    refused = await block(api, booking, OTHER_CALLER)
    assert (refused.status, refused.code) == (422, "too_many_blocked_callers")
    assert (await block(api, booking, numbers[0])).status == 200
    await api.call("DELETE", blocked_path(booking, numbers[0]))
    assert (await block(api, booking, OTHER_CALLER)).status == 201


async def test_blocked_callers_are_paged_in_the_order_of_their_numbers(api: Api) -> None:
    booking = await api.book()
    numbers = [f"+1415555{number:04}" for number in (7, 3, 9, 1, 5)]
    for number in numbers:
        await block(api, booking, number)
    found, path = [], f"{blocked_path(booking)}?limit=2"
    while path:
        answer = await api.call("GET", path)
        found += [each["caller"] for each in answer.body["data"]]
        cursor = answer.body["nextCursor"]
        path = f"{blocked_path(booking)}?limit=2&cursor={cursor}" if cursor else ""
    assert found == sorted(numbers)
    other_list = await api.call("GET", f"/bookings?cursor={answer.body['nextCursor'] or 'x'}")
    assert other_list.code == "invalid_cursor"


async def test_blocked_callers_survive_renewal_and_expiry_and_go_with_the_booking(api: Api) -> None:
    booking, deleted = await api.book(), await api.book()
    for each in (booking, deleted):
        await block(api, each)
    await put(api, booking)
    api.clock.advance(3 * DAY)
    assert await blocked(api, booking) == [CALLER]
    await api.call("DELETE", f"/bookings/{deleted['id']}")
    answer = await api.call("GET", blocked_path(deleted))
    assert (answer.status, answer.code) == (404, "gone")
    assert await rows(api) == [booking["id"]]

    api.clock.advance(POLICY.grace_ms)
    assert (await api.call("POST", blocked_path(booking), {"caller": CALLER})).code == "gone"
    await api.storage.run(sweep, api.clock.timestamp(), POLICY)
    assert await rows(api) == []


async def rows(api: Api) -> list[str]:
    sql = "SELECT booking_id FROM blocked_callers"
    return [row["booking_id"] for row in await api.storage.run(lambda tx: tx.blocked._db.execute(sql).fetchall())]


@pytest.mark.parametrize(
    ("number", "rule"),
    [("+3290012345", "premium_rate"), ("+881612345678", "prefix"), ("+443001234567", "uan")],
)
async def test_a_forbidden_destination_is_refused_with_the_rule_and_without_the_number(
    api: Api, number: str, rule: str
) -> None:
    answer = await api.call("POST", "/bookings", a_request(destination=number))
    assert (answer.status, answer.code) == (422, "destination_not_allowed")
    assert rule in answer.body["detail"]
    assert [error["field"] for error in answer.body["errors"]] == ["destination"]
    assert number[-6:] not in answer.text
    booking = await api.book()
    moved = await put(api, booking, destination=number)
    assert (moved.status, moved.code) == (422, "destination_not_allowed")
    assert await api.see(booking["id"]) == booking


# How a caller may write +32475123456 to evade a block, over a carrier without a country.
JUNK = ["+32475123456", "32475123456", "0032475123456", "++32475123456", "32+475123456", "00032475123456",
        "+0032475123456", "+320475123456", "0032+475123456", "32475123456+"]  # fmt: skip


@pytest.mark.parametrize("listed", ["+32475123456", "+320475123456"])
async def test_no_spelling_of_a_number_evades_its_block(api: Api, listed: str) -> None:
    booking = await api.book()
    assert (await block(api, booking, listed)).body["caller"] == "+32475123456"
    assert [await explained(api, booking, sent) for sent in JUNK] == [("caller_blocked", False)] * len(JUNK)
    assert (await api.call("DELETE", blocked_path(booking, listed))).status == 204
    assert await blocked(api, booking) == []
