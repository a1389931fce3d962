"""/cdr.csv and /cdr.jsonl: their content, and the effect of slow or absent clients on others.

`EXPORT_RECORDS=1000000 pytest -s --timeout 900 tests/integration/test_api_exports.py -k others_are` prints the time and
memory of long exports, and how long other requests wait.
"""

import asyncio
import csv
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientConnectionError, ClientPayloadError

from api.app import RequestLimits
from api.resources.exports import MAX_AT_ONCE, MAX_OF_ACCOUNT, UNDER_WAY
from engine.accounts.keys import create_key, keys_of, revoke_key
from engine.cdr.master_csv import COLUMNS
from engine.domain.ids import CallId
from engine.domain.times import EpochMs
from tests.integration.api_helpers import CALLER, HIDDEN, PEPPER, SECOND, Api
from tests.integration.export_client import (
    LAST_CHUNK,
    MANY,
    booked_and_called,
    exporting,
    many,
    until_none_is_under_way,
)

pytest_plugins = ["tests.integration.api_fixtures"]

EXPORTS = ("/cdr.csv", "/cdr.jsonl")
# The kernel buffers megabytes, so a steady reader may seem to stand still for a while.
PATIENT = RequestLimits(requests_per_minute=10**6, request_seconds=1.0, stall_seconds=30.0)
RECORDS = int(os.environ.get("EXPORT_RECORDS", "10000"))


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(requests_per_minute=10**6, request_seconds=1.0, stall_seconds=0.5)


def busy_at_checkpoint(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return int(busy)


async def test_the_json_export_has_the_records_of_the_list(api: Api) -> None:
    booking = await booked_and_called(api)
    api.clock.advance(SECOND)
    await api.talk(booking["service"], CallId("call-2"), 0)
    answer = await api.call("GET", "/cdr.jsonl")
    assert answer.headers["Content-Type"] == "application/jsonl; charset=utf-8"
    assert [json.loads(line) for line in answer.text.splitlines()] == (await api.call("GET", "/cdr")).body["data"]
    assert answer.text.endswith("}\n")


async def test_the_csv_export_has_the_records_of_the_list_with_call_times(api: Api) -> None:
    booking = await api.book(usagePlan="LARGE")
    await api.caller_rings(booking["service"], CallId("call-0"))
    await api.talk(booking["service"], CallId("call-1"), 12)
    answer = await api.call("GET", "/cdr.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    [record] = (await api.call("GET", "/cdr")).body["data"]
    [row] = csv.reader(answer.text.splitlines(), strict=True)
    known = {name: value for name, value in zip(COLUMNS, row, strict=True) if value}
    at = "2026-03-01 12:00:00"
    assert known == {
        "accountcode": booking["id"],
        "src": CALLER,
        "dst": booking["service"],
        "clid": CALLER,
        "lastdata": HIDDEN,
        **dict.fromkeys(("start", "answer", "end"), at),
        **dict.fromkeys(("duration", "billsec"), "12"),
        **dict.fromkeys(("disposition", "userfield"), "ANSWERED"),
        "uniqueid": record["id"],
    }


@pytest.mark.parametrize("path", EXPORTS)
async def test_an_export_takes_the_filters_of_the_list_and_an_empty_result_is_empty_text(api: Api, path: str) -> None:
    await many(api, 7_000)
    for query, count in (
        ("", 7_000),
        ("?disposition=ANSWERED", 1),
        ("?disposition=LOST", 0),
        (f"?source={CALLER.replace('+', '%2B')}&to=2026-03-01T12:00:00Z", 6_999),
        ("?from=2026-03-01T11:59:59.000Z", 1_001),
    ):
        answer = await api.call("GET", path + query)
        assert (answer.status, answer.text.count("\n")) == (200, count), query
    assert (await api.call("GET", path, account="theirs")).text == ""


@pytest.mark.parametrize("path", EXPORTS)
async def test_head_answers_like_get_and_reads_only_the_first_batch(api: Api, path: str) -> None:
    await many(api, 1_000)
    answer = await api.call("HEAD", path)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Content-Type"] == (await api.call("GET", path)).headers["Content-Type"]
    assert not api.client.app[UNDER_WAY]


@pytest.mark.parametrize("path", EXPORTS)
async def test_an_export_refuses_limit_and_cursor(api: Api, path: str) -> None:
    for query in ("limit=5", "cursor=x"):
        answer = await api.call("GET", f"{path}?{query}")
        assert (answer.status, answer.code) == (400, "invalid_parameter")


@pytest.mark.parametrize("api_limits", [PATIENT], ids=["patient"])
async def test_a_slow_client_gets_the_whole_export(api: Api) -> None:
    """It takes longer than other requests may: 6 MB in parts of at most 256 KiB, with a pause after each."""
    await many(api)
    begun = asyncio.get_running_loop().time()
    async with exporting(api, "/cdr.jsonl") as export:
        text = await export.rest(pause=0.1)
    assert asyncio.get_running_loop().time() - begun > 1.0
    assert text.endswith(LAST_CHUNK)
    assert text.count(b'"id":"cdr_') == MANY


async def test_a_client_that_does_not_read_is_cut_and_can_see_that_it_was_cut(api: Api) -> None:
    await many(api)
    async with exporting(api) as export:
        await until_none_is_under_way(api)
        text = await export.rest()
    assert b"+14155550123" in text
    assert not text.endswith(LAST_CHUNK)


async def test_an_export_ends_when_its_client_disconnects(api: Api) -> None:
    await many(api)
    async with exporting(api):
        assert api.client.app[UNDER_WAY].total() == 1
    await until_none_is_under_way(api)


@pytest.mark.parametrize("api_limits", [RequestLimits()], ids=["as in production"])
async def test_a_client_that_does_not_read_holds_no_transaction_open(api: Api) -> None:
    """The write-ahead log can be checkpointed and truncated during the export."""
    await many(api)
    async with exporting(api):
        await api.book()
        assert isinstance(api.reads.database, Path)
        assert await asyncio.to_thread(busy_at_checkpoint, api.reads.database) == 0
        assert api.client.app[UNDER_WAY].total() == 1


async def test_an_account_may_run_two_exports_at_once_beside_those_of_others(api: Api) -> None:
    await many(api)
    async with exporting(api), exporting(api, "/cdr.jsonl"):
        refused = await api.call("GET", "/cdr.csv")
        assert (refused.status, refused.code) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await api.call("GET", "/cdr.csv", account="theirs")).status == 200
        assert (await api.call("GET", "/cdr")).status == 200
    await until_none_is_under_way(api)
    assert (await api.call("GET", "/cdr.csv?from=2026-03-01T12:00:00Z")).status == 200
    assert MAX_OF_ACCOUNT == 2


async def test_the_number_of_exports_of_all_accounts_is_limited(api: Api) -> None:
    api.client.app[UNDER_WAY].update({f"account-{number}": 1 for number in range(MAX_AT_ONCE)})
    refused = await api.call("GET", "/cdr.csv")
    assert (refused.status, refused.code) == (503, "overloaded")
    api.client.app[UNDER_WAY].clear()


async def test_an_export_is_cut_when_the_database_fails_half_way(api: Api) -> None:
    await many(api)
    async with exporting(api) as export:
        await api.reads.__aexit__(None, None, None)
        text = await export.rest()
    assert not text.endswith(LAST_CHUNK)
    await until_none_is_under_way(api)


@pytest.mark.parametrize("api_limits", [PATIENT], ids=["patient"])
async def test_revoking_a_key_cuts_its_running_exports_and_no_others(api: Api) -> None:
    await many(api)
    [own] = [key["id"] for key in await api.storage.run(keys_of, "ours") if not key["is_test"]]
    api.keys["another of ours"] = (await api.storage.run(create_key, "ours", PEPPER, EpochMs(api.clock.now()))).secret
    async with exporting(api) as revoked, exporting(api, account="another of ours") as other:
        await api.storage.run(revoke_key, own, EpochMs(api.clock.now()))
        text, others = await asyncio.gather(revoked.rest(), other.lines())
    assert b"+14155550123" in text
    assert not text.endswith(LAST_CHUNK)
    assert others == MANY
    assert (await api.call("GET", "/cdr.csv")).status == 401


async def test_an_unreadable_record_cuts_the_export_without_adding_text(api: Api) -> None:
    await many(api, 1_000)
    await api.storage.run(lambda tx: tx.cdrs._db.execute("UPDATE cdrs SET disposition = '' WHERE call_id = 'copy 900'"))
    async with exporting(api, "/cdr.jsonl") as export:
        text = await export.rest()
    assert text.count(b'"id":"cdr_') in range(800, 900)
    assert not text.endswith(LAST_CHUNK)
    assert text.count(b"HTTP/1.1") == text.count(b"problem") == 0  # the status line was read before


async def test_an_ordinary_client_reports_a_cut_export_as_an_error(api: Api) -> None:
    await many(api)
    headers = {"Authorization": f"Bearer {api.keys['ours']}"}
    async with api.client.get("/cdr.csv", headers=headers) as answer:
        assert answer.status == 200
        await api.reads.__aexit__(None, None, None)
        with pytest.raises((ClientPayloadError, ClientConnectionError)):
            await answer.read()


async def test_others_are_answered_while_exports_run(api: Api) -> None:
    await many(api, RECORDS)
    await api.book(account="theirs")
    loop, memory = asyncio.get_running_loop(), psutil.Process().memory_info
    idle = [await seconds_of_a_request(api) for _ in range(100)]
    begun, memory_before, peak = loop.time(), memory().rss, 0
    async with exporting(api) as first, exporting(api, "/cdr.jsonl") as second:
        reading = asyncio.gather(first.lines(), second.lines())
        meanwhile: list[float] = []
        while not reading.done():
            meanwhile.append(await seconds_of_a_request(api))
            peak = max(peak, memory().rss)
            await asyncio.sleep(0.01)
    assert list(await reading) == [RECORDS, RECORDS]
    assert len(meanwhile) > 10
    took = loop.time() - begun
    print(  # noqa: T201
        f"\ntwo exports of {RECORDS} records: {took:.1f} s, {2 * RECORDS / took:.0f} records/s, memory grew by "
        f"{(peak - memory_before) / 2**20:.1f} MiB; other requests p50/p99 {milliseconds(meanwhile)} ms, "
        f"before {milliseconds(idle)} ms"
    )


async def seconds_of_a_request(api: Api) -> float:
    headers = {"Authorization": f"Bearer {api.keys['theirs']}"}
    begun = asyncio.get_running_loop().time()
    async with api.client.get("/bookings", headers=headers) as answer:
        assert (answer.status, len((await answer.json())["data"])) == (200, 1)
    return asyncio.get_running_loop().time() - begun


def milliseconds(measured: list[float]) -> str:
    in_order = sorted(measured)
    return "/".join(f"{in_order[int(len(in_order) * part)] * 1000:.1f}" for part in (0.5, 0.99))
