"""/cdr.csv and /cdr.jsonl: all records that are asked for, sent as they are read.

An export has no time of its own: it may take as long as its client keeps reading. It holds a batch of records, no open
query and no transaction while the client does not; one that takes too long over a batch is cut. What is cut ends
without its last chunk, so no client can take it for the whole. It is cut as well when its key is revoked.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager

import structlog
from aiohttp import hdrs, web

from api.http.auth import check_key_again
from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, TIME_LIMIT
from api.http.problems import ProblemError
from api.http.routes import Operation, Route
from api.resources.cdr_filters import OF_ALL, wanted_records
from api.schemas.cdrs import CdrBody
from engine.cdr.listing import record_batches
from engine.cdr.master_csv import master_csv
from engine.storage.cdrs import CallRecord

log = structlog.get_logger(__name__)

# So few that neither the thread of all reads nor the event loop, which decides about calls too, is held for longer
# than a millisecond or two: whoever asks meanwhile waits no longer. More at once is no faster.
BATCH = 50
MAX_OF_ACCOUNT = 2
MAX_AT_ONCE = 16

CSV, JSONL = "text/csv", "application/jsonl"
UNDER_WAY = web.AppKey("EXPORTS_UNDER_WAY", Counter[str])


async def as_csv(request: web.Request) -> web.StreamResponse:
    return await _export(request, CSV, master_csv)


async def as_jsonl(request: web.Request) -> web.StreamResponse:
    return await _export(request, JSONL, json_lines)


def json_lines(records: list[CallRecord]) -> str:
    """A line a record, each with its end."""
    return "".join(f"{CdrBody.of(record.cdr).model_dump_json()}\n" for record in records)


async def _export(
    request: web.Request, media_type: str, lines_of: Callable[[list[CallRecord]], str]
) -> web.StreamResponse:
    deps = request.app[DEPENDENCIES]
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: f"{media_type}; charset=utf-8"})
    all_batches = record_batches(deps.reads, wanted_records(request), BATCH)
    with _under_way(request):
        async with aclosing(all_batches) as batches:
            # Before the answer begins: what fails by then is still answered with a problem.
            lines = await _next_lines(request, batches, lines_of)
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return response
            request[TIME_LIMIT].reschedule(None)  # from here on each part has its own
            try:
                while lines is not None and _is_listening(request):
                    async with asyncio.timeout(deps.limits.stall_seconds):
                        await response.write(lines.encode())
                    lines = await _next_lines(request, batches, lines_of)
            except Exception as error:  # whatever it is: an answer that has begun cannot become a problem
                log.warning("export_cut", error=type(error).__name__)
                if request.transport is not None:
                    request.transport.abort()
    return response


async def _next_lines(
    request: web.Request, batches: AsyncIterator[list[CallRecord]], lines_of: Callable[[list[CallRecord]], str]
) -> str | None:
    """None: that was all."""
    async with asyncio.timeout(request.app[DEPENDENCIES].limits.storage_seconds):
        records = await anext(batches, None)
        await check_key_again(request)  # an export may go on for hours after its key was revoked
    return None if records is None else lines_of(records)


def _is_listening(request: web.Request) -> bool:
    """Where a filter lets little through, nothing would be written for a long time, and nobody's absence noticed."""
    return request.transport is not None and not request.transport.is_closing()


@contextmanager
def _under_way(request: web.Request) -> Iterator[None]:
    """Raises ProblemError where there are as many as there may be."""
    under_way, account = request.app[UNDER_WAY], request[ACCOUNT_ID]
    if under_way[account] >= MAX_OF_ACCOUNT:
        raise ProblemError(
            "too_many_requests", f"{MAX_OF_ACCOUNT} exports of the account are under way.", retry_after=5
        )
    if under_way.total() >= MAX_AT_ONCE:
        raise ProblemError("overloaded", "Too many exports are under way.")
    under_way[account] += 1
    try:
        yield
    finally:
        under_way[account] -= 1
        if not under_way[account]:
            del under_way[account]


TAG = "Call records"
DETAIL = (
    "All that the filters let through, newest call first, sent while it is read. An answer that ends without its last "
    "chunk was cut and is not the whole. An account may have two exports under way."
)

ROUTES = (
    Route(
        "GET",
        "/cdr.csv",
        as_csv,
        Operation(
            "exportCallRecordsAsCsv",
            TAG,
            "Export call records as Asterisk's Master.csv",
            answers={200: None},
            detail=DETAIL,
            streams=CSV,
        ),
        parameters=OF_ALL,
    ),
    Route(
        "GET",
        "/cdr.jsonl",
        as_jsonl,
        Operation(
            "exportCallRecordsAsJsonLines",
            TAG,
            "Export call records, one as JSON on each line",
            answers={200: None},
            detail=DETAIL,
            streams=JSONL,
        ),
        parameters=OF_ALL,
    ),
)
