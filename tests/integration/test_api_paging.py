"""Lists: pages, cursors and filters. Common rules are tested on both lists."""

import base64
import json
import re
from typing import Any

import pytest

from engine.domain.ids import CallId
from tests.integration.api_helpers import DAY, POLICY, Api

pytest_plugins = ["tests.integration.api_fixtures"]

LISTS = ("/bookings", "/cdr")


async def fill(api: Api, path: str, count: int) -> list[str]:
    """Make `count` records and return their ids, oldest first."""
    if path == "/bookings":
        return [(await api.book())["id"] for _ in range(count)]
    known = {one["id"] for one in await all_pages(api, "/cdr?limit=100")}
    if not known:
        await api.book(usagePlan="LARGE")
    (booking,) = (await api.call("GET", "/bookings")).body["data"]
    for index in range(count):
        await api.talk(booking["service"], CallId(f"call-{len(known)}-{index}"), 1)
    found = await all_pages(api, "/cdr?limit=100")
    return [one["id"] for one in reversed(found) if one["id"] not in known]


async def page(api: Api, path: str) -> Any:
    answer = await api.call("GET", path)
    assert answer.status == 200, answer.text
    return answer.body


async def all_pages(api: Api, path: str) -> list[Any]:
    """Follow the Link headers to the end."""
    found: list[Any] = []
    following: str | None = path
    while following is not None:
        answer = await api.call("GET", following)
        assert answer.status == 200, answer.text
        found += answer.body["data"]
        link = answer.headers.get("Link")
        assert (link is not None) == answer.body["hasMore"] == (answer.body["nextCursor"] is not None)
        match = re.fullmatch(r'<([^>]+)>; rel="next"', link or "")
        following = match[1] if match else None
    return found


@pytest.mark.parametrize("path", LISTS)
async def test_an_empty_list_is_one_empty_page(api: Api, path: str) -> None:
    assert await page(api, path) == {"data": [], "hasMore": False, "nextCursor": None}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
async def test_pages_give_every_record_once_newest_first(api: Api, path: str, limit: int) -> None:
    ids = await fill(api, path, 6)
    found = await all_pages(api, f"{path}?limit={limit}")
    assert [one["id"] for one in found] == ids[::-1]


@pytest.mark.parametrize("path", LISTS)
async def test_records_added_between_pages_cause_no_repeats_or_gaps(api: Api, path: str) -> None:
    ids = await fill(api, path, 5)
    first = await page(api, f"{path}?limit=2")
    await fill(api, path, 2)
    second = await page(api, f"{path}?limit=2&cursor={first['nextCursor']}")
    await fill(api, path, 1)
    third = await page(api, f"{path}?limit=2&cursor={second['nextCursor']}")
    found = [one["id"] for one in first["data"] + second["data"] + third["data"]]
    assert found == ids[::-1]
    assert third["hasMore"] is False


async def test_a_booking_deleted_between_pages_causes_no_gap(api: Api) -> None:
    ids = await fill(api, "/bookings", 5)
    first = await page(api, "/bookings?limit=2")
    await api.call("DELETE", f"/bookings/{first['data'][-1]['id']}")
    second = await page(api, f"/bookings?limit=3&cursor={first['nextCursor']}")
    assert [one["id"] for one in second["data"]] == ids[2::-1]


async def test_the_default_page_has_twenty_records(api: Api) -> None:
    await fill(api, "/cdr", 21)
    body = await page(api, "/cdr")
    assert (len(body["data"]), body["hasMore"]) == (20, True)
    assert len((await page(api, "/cdr?limit=100"))["data"]) == 21


async def test_expired_bookings_are_listed_only_on_request(api: Api) -> None:
    short, long = await api.book(), await api.book(usagePlan="LARGE")
    api.clock.advance(DAY)
    assert [one["id"] for one in await all_pages(api, "/bookings")] == [long["id"]]
    assert [one["id"] for one in await all_pages(api, "/bookings?includeExpired=false")] == [long["id"]]
    both = await all_pages(api, "/bookings?includeExpired=true&limit=1")
    assert [(one["id"], one["status"]) for one in both] == [(long["id"], "ACTIVE"), (short["id"], "EXPIRED")]


async def test_bookings_past_their_grace_are_never_listed(api: Api) -> None:
    await api.book()
    api.clock.advance(DAY + POLICY.grace_ms - 1)
    assert len(await all_pages(api, "/bookings?includeExpired=true")) == 1
    api.clock.advance(1)
    assert await all_pages(api, "/bookings?includeExpired=true") == []


async def test_a_booking_reads_the_same_in_the_list_and_alone(api: Api) -> None:
    booking = await api.book()
    assert (await page(api, "/bookings"))["data"] == [booking]


@pytest.mark.parametrize("value", ["", "1", "0", "yes", "True", "TRUE", "true%20", "t%72ue%00", "null"])
async def test_include_expired_is_true_or_false_and_nothing_else(api: Api, value: str) -> None:
    answer = await api.call("GET", f"/bookings?includeExpired={value}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.body["errors"][0]["field"] == "includeExpired"


@pytest.mark.parametrize(
    "value", ["", "0", "101", "-1", "1.0", "1e1", "%2B5", "05", "5%0A", "%D9%A5", "1_0", "999999999999", "%00"]
)
@pytest.mark.parametrize("path", LISTS)
async def test_limit_is_a_whole_number_from_1_to_100(api: Api, path: str, value: str) -> None:
    answer = await api.call("GET", f"{path}?limit={value}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.body["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    "query", ["limti=5", "limit=5&limit=5", "Limit=5", "includeExpired=true&x", "=", "%00=1", "offset=0", "%ff=1"]
)
async def test_unknown_and_repeated_parameters_are_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/bookings?{query}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")


async def test_routes_without_parameters_refuse_every_parameter(api: Api) -> None:
    booking = await api.book()
    for method, path in (
        ("GET", f"/bookings/{booking['id']}"),
        ("DELETE", f"/bookings/{booking['id']}"),
        ("GET", "/cdr/x"),
        ("GET", "/cdr?includeExpired=true"),
        ("POST", "/bookings"),
        ("GET", "/health"),
    ):
        joint = "&" if "?" in path else "?"
        answer = await api.call(method, f"{path}{joint}verbose=1")
        assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert (await api.see(booking["id"]))["status"] == "ACTIVE"


def cursor(content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


BAD_CURSORS = (
    "",
    "x",
    "%00",
    "%D9%A5",
    "e30",
    "e30=",
    cursor("["),
    cursor("[" * 100),
    cursor("null"),
    cursor({"version": 1, "list": "bookings"}),
    cursor({"version": 2, "list": "bookings", "after": "bkg_" + "0" * 32}),
    cursor({"version": 1, "list": "cdrs", "after": "bkg_" + "0" * 32}),
    cursor({"version": 1, "list": "bookings", "after": "bkg_1' OR 1=1"}),
    cursor({"version": 1, "list": "bookings", "after": 7}),
    cursor({"version": 1, "list": "bookings", "after": "bkg_" + "0" * 32, "more": 1}),
    cursor({"after": "bkg_" + "0" * 32, "version": 1, "list": "bookings"}),
    cursor({"version": 1, "list": "bookings", "after": "bkg_" + "0" * 32}) + "=",
    "A" * 4000,
)


@pytest.mark.parametrize("bad", BAD_CURSORS)
async def test_a_made_up_cursor_is_refused(api: Api, bad: str) -> None:
    answer = await api.call("GET", f"/bookings?cursor={bad}")
    assert (answer.status, answer.code) == (400, "invalid_cursor")


async def test_a_cursor_of_another_list_is_refused(api: Api) -> None:
    await fill(api, "/bookings", 2)
    given = (await page(api, "/bookings?limit=1"))["nextCursor"]
    assert (await api.call("GET", f"/cdr?cursor={given}")).code == "invalid_cursor"


async def test_the_next_link_keeps_the_other_parameters(api: Api) -> None:
    await fill(api, "/bookings", 2)
    answer = await api.call("GET", "/bookings?includeExpired=true&limit=1")
    following = f"/bookings?includeExpired=true&limit=1&cursor={answer.body['nextCursor']}"
    assert answer.headers["Link"] == f'<{following}>; rel="next"'
