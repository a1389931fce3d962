"""Call records filtered by time, number, disposition and booking; and the calls of one booking."""

import base64
import json
from typing import Any

import pytest

from api.schemas.fields import CDR_ID
from engine.calls.lifecycle import call_ended
from engine.calls.reports import EndReport
from engine.domain.call_ends import DialplanEnd
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs, rfc3339
from engine.storage.scanning import SCAN_LIMIT
from tests.integration.api_helpers import CALLER, DAY, POLICY, SECOND, START, UNKNOWN_BOOKING, Answer, Api
from tests.integration.many_cdrs import copies

pytest_plugins = ["tests.integration.api_fixtures"]

OTHER_CALLER = "+14155550199"


async def ids(api: Api, path: str, **options: Any) -> list[str]:
    answer = await api.call("GET", path, **options)
    assert answer.status == 200, answer.text
    return [one["id"] for one in answer.body["data"]]


async def a_call(api: Api, booking: Any, call_id: CallId, seconds: int = 1, source: str = CALLER) -> str:
    """Make a call and return the id of its record."""
    before = set(await ids(api, "/cdr?limit=100"))
    if source == CALLER:
        await api.talk(booking["service"], call_id, seconds)
    else:
        await api.caller_rings(booking["service"], call_id, source)
    [new] = set(await ids(api, "/cdr?limit=100")) - before
    return new


async def test_records_are_ordered_by_the_start_of_their_calls(api: Api) -> None:
    """The call that came in first ends last."""
    long = await api.book(usagePlan="LARGE")
    short = await api.book(usagePlan="LARGE")
    await api.caller_rings(long["service"], CallId("call-long"))
    api.clock.advance(SECOND)
    second = await a_call(api, short, CallId("call-short"))
    end = EndReport(CallId("call-long"), BookingId(long["id"]), 0, DialplanEnd("NOANSWER"))
    await api.storage.run(call_ended, end, api.clock.timestamp(), POLICY)
    found = (await api.call("GET", "/cdr")).body["data"]
    assert found[0]["id"] == second
    assert [one["disposition"] for one in found] == ["ANSWERED", "NO_ANSWER"]
    assert found[0]["id"] < found[1]["id"], "the later id is that of the call that ended later"


async def test_a_range_includes_its_start_and_excludes_its_end(api: Api) -> None:
    booking = await api.book(usagePlan="LARGE")
    made = []
    for number in range(3):
        made.append(await a_call(api, booking, CallId(f"call-{number}")))
        api.clock.advance(SECOND)
    first, second, third = (rfc3339(EpochMs(START + number * SECOND)) for number in range(3))
    assert await ids(api, f"/cdr?from={second}") == [made[2], made[1]]
    assert await ids(api, f"/cdr?to={second}") == [made[0]]
    assert await ids(api, f"/cdr?from={first}&to={third}") == [made[1], made[0]]
    assert await ids(api, f"/cdr?from={second}&to={second}") == []
    # Just before and after, and in other spellings.
    assert await ids(api, "/cdr?from=2026-03-01T12:00:01.0001Z") == [made[2]]
    assert await ids(api, "/cdr?to=2026-03-01T12:00:01.0001Z") == [made[1], made[0]]
    assert await ids(api, "/cdr?from=2026-03-01T14:00:01%2B02:00") == [made[2], made[1]]
    assert await ids(api, "/cdr?from=2026-03-01T14:00:01+02:00") == [made[2], made[1]]


async def test_filters_combine_and_the_next_link_keeps_them(api: Api) -> None:
    ours, other = await api.book(usagePlan="LARGE"), await api.book(usagePlan="LARGE")
    one = await a_call(api, ours, CallId("call-1"))
    api.clock.advance(SECOND)
    two = await a_call(api, ours, CallId("call-2"), seconds=0)
    three = await a_call(api, other, CallId("call-3"))
    await api.call("POST", f"/bookings/{other['id']}/blocked-callers", {"caller": OTHER_CALLER})
    four = await a_call(api, other, CallId("call-4"), source=OTHER_CALLER)
    number = ours["service"].replace("+", "%2B")
    for query, found in (
        ("disposition=ANSWERED", {one, three}),
        ("disposition=LOST", set()),
        (f"service={number}", {one, two}),
        (f"service={ours['service']}", {one, two}),  # the + is not percent-encoded, as people type it
        (f"source={CALLER.replace('+', '%2B')}", {one, two, three}),
        ("source=14155550199", {four}),
        ("source=anonymous", set()),
        (f"bookingId={ours['id']}", {one, two}),
        (f"bookingId={ours['id']}&disposition=BUSY", {two}),
        (f"bookingId={ours['id']}&service={other['service'].replace('+', '%2B')}", set()),
        (f"bookingId={UNKNOWN_BOOKING}", set()),
    ):
        assert set(await ids(api, f"/cdr?{query}")) == found, query
    first = await api.call("GET", f"/cdr?limit=1&service={number}")
    following = f"/cdr?limit=1&service={number}&cursor={first.body['nextCursor']}"
    assert first.headers["Link"] == f'<{following}>; rel="next"'
    assert await ids(api, following) == [one]


BAD: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "from",
        ("", "x", "2026-03-01", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", "1772366400", "2026-03-01T24:00:00Z"),
    ),
    ("to", ("2026-03-01T12:00Z", "2026-03-01%2012:00:00Z", "0000-01-01T00:00:00Z", "%D9%A2026-03-01T12:00:00Z")),
    ("service", ("", "3225550000", "%2B0225550000", "anonymous", "%2B32%0A", "a" * 4000)),
    ("source", ("", "x", "erased", "%2B1415'--", "1" * 33)),
    ("disposition", ("", "answered", "ANSWERED%20", "GONE", "%00")),
    ("bookingId", ("", "bkg_1", "cdr_" + "0" * 32, "bkg_" + "A" * 32)),
)


@pytest.mark.parametrize("path", ["/cdr", "/cdr.csv", "/cdr.jsonl"])
async def test_a_bad_filter_is_refused_and_named(api: Api, path: str) -> None:
    for name, values in BAD:
        for value in values:
            answer = await api.call("GET", f"{path}?{name}={value}")
            assert (answer.status, answer.code) == (400, "invalid_parameter"), (name, value)
            assert [error["field"] for error in answer.body["errors"]] == [name]
    backwards = await api.call("GET", f"{path}?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z")
    assert (backwards.status, backwards.body["errors"][0]["field"]) == (400, "from")


async def test_the_earliest_and_latest_instants_are_accepted(api: Api) -> None:
    booking = await api.book()
    record = await a_call(api, booking, CallId("call-1"))
    for query in ("from=0001-01-01T00:00:00%2B23:59", "to=9999-12-31T23:59:60-23:59"):
        assert await ids(api, f"/cdr?{query}") == [record]


async def follow(api: Api, path: str) -> list[Answer]:
    """Return the records of all pages of a list."""
    pages = [await api.call("GET", path)]
    while pages[-1].body["hasMore"]:
        joint = "&" if "?" in path else "?"
        pages.append(await api.call("GET", f"{path}{joint}cursor={pages[-1].body['nextCursor']}"))
    return pages


async def test_a_page_scans_a_limited_number_of_records_even_without_a_match(api: Api) -> None:
    booking = await api.book()
    newest = await a_call(api, booking, CallId("call-1"))
    await copies(api, newest, 2 * SCAN_LIMIT + 10)
    pages = await follow(api, "/cdr?disposition=ANSWERED")
    assert [[one["id"] for one in page.body["data"]] for page in pages] == [[newest], [], []]
    none = await follow(api, f"/cdr?bookingId={UNKNOWN_BOOKING}")
    assert [page.body["data"] for page in none] == [[], [], []]
    assert all(CDR_ID.fullmatch(cursor_content(page)["after"]) for page in none[:-1])


def cursor_content(page: Answer) -> Any:
    cursor = page.body["nextCursor"]
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def encoded(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


async def test_an_outdated_or_made_up_cursor_is_refused(api: Api) -> None:
    booking = await api.book()
    for number in range(2):
        await a_call(api, booking, CallId(f"call-{number}"))
    given = cursor_content(await api.call("GET", "/cdr?limit=1"))
    assert (await api.call("GET", f"/cdr?cursor={encoded(given)}")).status == 200
    old = {name: value for name, value in given.items() if name != "at"}
    no_instants: list[Any] = [None, True, 1.5, "0", 2**63, -(2**63) - 1, []]
    bad: list[Any] = [
        old,
        *(given | {"at": at} for at in no_instants),
        given | {"list": "bookings"},
        given | {"list": "booking-calls"},
        given | {"after": "cdr_1"},
        given | {"more": 1},
        dict(sorted(given.items())),
    ]
    for content in bad:
        answer = await api.call("GET", f"/cdr?cursor={encoded(content)}")
        assert (answer.status, answer.code) == (400, "invalid_cursor"), content


async def test_the_calls_of_a_booking_read_as_in_the_whole_list(api: Api) -> None:
    booking, other = await api.book(usagePlan="LARGE"), await api.book(usagePlan="LARGE")
    for number in range(5):
        await a_call(api, booking if number % 2 else other, CallId(f"call-{number}"), seconds=number % 3)
        api.clock.advance(SECOND)
    path = f"/bookings/{booking['id']}/calls"
    everything = (await api.call("GET", "/cdr")).body["data"]
    its_own = [one for one in everything if one["bookingId"] == booking["id"]]
    assert len(its_own) == 2
    paged = await follow(api, f"{path}?limit=1")
    assert [page.body["data"] for page in paged] == [[one] for one in its_own]
    assert await ids(api, f"{path}?from={its_own[0]['timestamp']}") == [its_own[0]["id"]]
    assert await ids(api, f"{path}?disposition=BUSY") == [one["id"] for one in its_own if not one["duration"]]
    refused = await api.call("GET", f"{path}?service=%2B3225550000")
    assert (refused.status, refused.code) == (400, "invalid_parameter")


async def test_the_search_for_a_bookings_calls_ends_at_its_creation(api: Api) -> None:
    booking = await api.book()
    newest = await a_call(api, booking, CallId("call-1"))
    await copies(api, newest, 2 * SCAN_LIMIT)
    await api.storage.run(lambda tx: tx.cdrs._db.execute("UPDATE cdrs SET started_at = started_at - ?", [3 * DAY]))
    assert [page.body["data"] for page in await follow(api, f"/bookings/{booking['id']}/calls")] == [[]]


async def test_a_call_is_found_when_the_clock_was_set_back_after_booking(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(-3_600 * SECOND)
    record = await a_call(api, booking, CallId("call-1"))
    assert await ids(api, f"/bookings/{booking['id']}/calls") == [record]


async def test_the_calls_of_a_booking_are_shown_until_its_grace_ends_and_stay_in_the_whole_list(
    api: Api,
) -> None:
    booking = await api.book()
    record = await a_call(api, booking, CallId("call-1"))
    path = f"/bookings/{booking['id']}/calls"
    api.clock.advance(DAY + POLICY.grace_ms - 1)
    assert await ids(api, path) == [record]
    api.clock.advance(1)
    answer = await api.call("GET", path)
    assert (answer.status, answer.code) == (404, "gone")
    assert await ids(api, f"/cdr?bookingId={booking['id']}") == [record]


async def test_filtering_by_another_accounts_booking_finds_nothing(api: Api) -> None:
    theirs = await api.book(account="theirs")
    await api.talk(theirs["service"], CallId("call-1"), 1)
    for query in (f"bookingId={theirs['id']}", f"service={theirs['service'].replace('+', '%2B')}"):
        assert await ids(api, f"/cdr?{query}") == []
        assert len(await ids(api, f"/cdr?{query}", account="theirs")) == 1
