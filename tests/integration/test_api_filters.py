"""GET /bookings with filters: matches, refusals, and complete and bounded pages."""

import itertools
import random
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.runtime.ids import new_id
from engine.storage import reads, scanning
from engine.storage.transaction import Transaction
from tests.integration.api_helpers import DAY, HIDDEN, NUMBERS, OTHER_HIDDEN, START, Api
from tests.integration.test_api_paging import all_pages

pytest_plugins = ["tests.integration.api_fixtures"]


async def found(api: Api, **conditions: str) -> list[str]:
    """Return the service numbers, oldest first."""
    query = urlencode({"limit": "2", **conditions}, quote_via=quote)
    return [one["service"] for one in await all_pages(api, f"/bookings?{query}")][::-1]


async def test_bookings_are_found_by_each_of_their_fields(api: Api) -> None:
    a = (await api.book(label="Desk"))["service"]
    b = (await api.book(destination=OTHER_HIDDEN, label="desk", usagePlan="LARGE"))["service"]
    c = (await api.book(destination=OTHER_HIDDEN))["service"]
    await api.book(account="theirs", destination=OTHER_HIDDEN, label="desk")
    assert await found(api) == [a, b, c]
    assert await found(api, destination=OTHER_HIDDEN) == [b, c]
    assert await found(api, destination=HIDDEN) == [a]
    assert await found(api, usagePlan="LARGE") == [b]
    assert await found(api, service=b) == [b]
    assert await found(api, service=NUMBERS[3]) == []
    assert await found(api, label="desk") == [b]
    assert await found(api, label="des") == []
    assert await found(api, destination=OTHER_HIDDEN, usagePlan="SMALL") == [c]


async def test_a_plus_that_was_not_encoded_is_read_as_a_plus(api: Api) -> None:
    await api.book()
    assert len((await api.call("GET", f"/bookings?destination={HIDDEN}")).body["data"]) == 1


async def test_bookings_must_match_every_metadata_pair(api: Api) -> None:
    hostile = '","b":"2\\'
    first = (await api.book(metadata={"a": "1", "b": "2", "c": hostile}))["service"]
    other = (await api.book(metadata={"a": "1", "b": "22", "A": "x"}))["service"]
    await api.book(metadata={"b": "1", "aa": "1"})
    await api.book()
    assert await found(api, **{"metadata[a]": "1"}) == [first, other]
    assert await found(api, **{"metadata[a]": "1", "metadata[b]": "2"}) == [first]
    assert await found(api, **{"metadata[c]": hostile}) == [first]
    assert await found(api, **{"metadata[A]": "x"}) == [other]
    assert await found(api, **{"metadata[A]": "X"}) == []
    assert await found(api, **{"metadata[b]": ""}) == []
    assert await found(api, **{f"metadata[k{index}]": "x" for index in range(5)}) == []


async def test_the_status_filter_works_with_and_without_include_expired(api: Api) -> None:
    short, long = (await api.book())["service"], (await api.book(usagePlan="LARGE"))["service"]
    api.clock.advance(DAY)
    for also in ({}, {"includeExpired": "true"}, {"includeExpired": "false"}):
        assert await found(api, status="ACTIVE", **also) == [long]
        assert await found(api, status="EXPIRED", **also) == [short]
    assert await found(api, includeExpired="true") == [short, long]
    api.clock.advance(7 * DAY)
    assert await found(api, status="EXPIRED") == []


@pytest.mark.parametrize(
    "query",
    [
        *("status=active", "status=GONE", "status=", "usagePlan=HUGE", "usagePlan=small", "label=", "service=x"),
        *("destination=", "destination=32470123456", "destination=%2B32470123456%0A", "label=" + "x" * 101),
        *("metadata=x", "metadata[]=x", "metadata[a%20b]=x", "metadata[a=x", "metadata[a]]=x", "metadata[a][b]=x"),
        *("metadata[" + "x" * 41 + "]=x", "metadata[a]=" + "x" * 501, "metadata[a]=1&metadata[a]=1", "metadata]a[=x"),
        *("&".join(f"metadata[k{index}]=x" for index in range(6)), "label[a]=x", "label=a&label=a", "paused=true"),
    ],
)
async def test_a_bad_condition_is_refused_and_not_quoted(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/bookings?{query}")
    assert (answer.status, answer.code) == (400, "invalid_parameter"), answer.text
    assert "xxx" not in answer.text


async def test_filtered_pages_neither_skip_nor_repeat_while_bookings_come_and_go(api: Api) -> None:
    wanted = [(await api.book(label="x", metadata={"n": str(n % 2)}))["id"] for n in range(7)]
    path = "/bookings?limit=2&label=x&metadata[n]=0"
    first = (await api.call("GET", path)).body
    await api.call("DELETE", f"/bookings/{first['data'][-1]['id']}")
    await api.book(label="x", metadata={"n": "0"})
    await api.call("PATCH", f"/bookings/{wanted[3]}", {"label": "y"})
    second = (await api.call("GET", f"{path}&cursor={first['nextCursor']}")).body
    assert [one["id"] for one in first["data"] + second["data"]] == wanted[::-2]
    assert second["hasMore"] is False


@pytest.mark.parametrize("seed", range(6))
async def test_a_booking_that_matches_throughout_is_listed_once_in_any_order_of_events(
    api: Api, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, services = random.Random(seed), itertools.count(1_000)
    monkeypatch.setattr(scanning, "SCAN_LIMIT", 7)
    monkeypatch.setattr(scanning, "SLICE", 2)
    booking_id = (await api.book())["id"]
    model = await api.storage.run(lambda tx: tx.bookings.by_id(booking_id))
    assert model is not None
    there: dict[str, str] = {}

    def happen(tx: Transaction) -> None:
        known = chance.choice([*there, ""])
        label = chance.choice("xy")
        if not known or chance.random() < 0.4:
            known = new_id("bkg")
            tx.bookings.insert(
                replace(model, id=BookingId(known), label=label, service=E164(f"+3225558{next(services)}"))
            )
        elif chance.random() < 0.5:
            tx.bookings.update(replace(model, id=BookingId(known), gone_at=START))
            del there[known]
            return
        else:
            tx.bookings.update(replace(model, id=BookingId(known), label=label))
        there[known] = label

    for _ in range(120):
        await api.storage.run(happen)
    # The bookings that matched from the beginning to the end.
    steady = {known for known, label in there.items() if label == "x"}
    listed: list[str] = []
    path: str | None = "/bookings?label=x&limit=3"
    while path is not None:
        answer = await api.call("GET", path)
        listed += [one["id"] for one in answer.body["data"]]
        await api.storage.run(happen)
        steady &= {known for known, label in there.items() if label == "x"}
        path = f"/bookings?label=x&limit=3&cursor={answer.body['nextCursor']}" if answer.body["hasMore"] else None
    assert len(listed) == len(set(listed))
    assert steady <= set(listed)
    assert len(steady) > 3


async def test_a_page_scans_a_limited_number_of_bookings_and_offers_a_next_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "SCAN_LIMIT", 3)
    oldest = await api.book()
    for _ in range(7):
        await api.book()
    pages: list[Any] = []
    path = f"/bookings?service={oldest['service']}".replace("+", "%2B")
    while not pages or pages[-1]["hasMore"]:
        cursor = f"&cursor={pages[-1]['nextCursor']}" if pages else ""
        pages.append((await api.call("GET", path + cursor)).body)
    assert [[one["id"] for one in page["data"]] for page in pages] == [[], [], [oldest["id"]]]
    assert len(await all_pages(api, "/bookings?limit=2")) == 8


async def test_a_page_is_read_in_slices_until_it_is_full(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SLICE", 2)
    oldest = [(await api.book(usagePlan="LARGE"))["id"] for _ in range(2)]
    for _ in range(6):
        await api.book()
    page = (await api.call("GET", "/bookings?usagePlan=LARGE&limit=1")).body
    assert ([one["id"] for one in page["data"]], page["hasMore"]) == ([oldest[1]], True)
    page = (await api.call("GET", f"/bookings?usagePlan=LARGE&limit=1&cursor={page['nextCursor']}")).body
    assert ([one["id"] for one in page["data"]], page["hasMore"]) == ([oldest[0]], False)


async def test_a_page_ends_after_so_much_metadata_and_offers_a_next_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "PAGE_CHARACTERS", 1_000)
    made = [(await api.book(metadata={"a": "x" * 400}))["id"] for _ in range(7)]
    pages = [(await api.call("GET", "/bookings?limit=100")).body]
    while pages[-1]["hasMore"]:
        pages.append((await api.call("GET", f"/bookings?limit=100&cursor={pages[-1]['nextCursor']}")).body)
    assert [len(page["data"]) for page in pages] == [3, 3, 1]
    assert [one["id"] for page in pages for one in page["data"]] == made[::-1]
