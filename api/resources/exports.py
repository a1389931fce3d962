"""/cdr.csv and /cdr.jsonl: all matching call records, streamed.

An export has no overall time limit: it goes on while its client keeps reading. It holds one batch of records, but no
open query and no transaction. It is aborted if the client takes too long to read a batch, and if its key is revoked. An
aborted answer ends without its last chunk, so no client can mistake it for the whole.
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
from api.http.responses import request_id_of
from api.http.routes import Operation, Route
from api.resources.cdr_filters import OF_ALL, wanted_records
from api.schemas.cdrs import CdrBody
from engine.cdr.listing import record_batches
from engine.cdr.master_csv import master_csv
from engine.storage.cdrs import CallRecord

log = structlog.get_logger(__name__)

# A batch takes a millisecond or two of the read thread and of the event loop, which also serves calls. Larger batches
# would not be faster.
BATCH = 50
MAX_OF_ACCOUNT = 2
MAX_AT_ONCE = 16

CSV, JSONL = "text/csv", "application/jsonl"
UNDER_WAY = web.AppKey("EXPORTS_UNDER_WAY", Counter[str])


async def as_csv(request: web.Request) -> web.StreamResponse:
    """Exports call records in the format of Asterisk's Master.csv."""
    return await _export(request, CSV, master_csv)


async def as_jsonl(request: web.Request) -> web.StreamResponse:
    """Exports call records as JSON lines."""
    return await _export(request, JSONL, json_lines)


def json_lines(records: list[CallRecord]) -> str:
    """Returns one line of JSON for each record, each with its line end."""
    return "".join(f"{CdrBody.of(record.cdr).model_dump_json()}\n" for record in records)


async def _export(
    request: web.Request, media_type: str, lines_of: Callable[[list[CallRecord]], str]
) -> web.StreamResponse:
    deps = request.app[DEPENDENCIES]
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: f"{media_type}; charset=utf-8"})
    all_batches = record_batches(deps.reads, wanted_records(request), BATCH)
    with _under_way(request):
        async with aclosing(all_batches) as batches:
            # The first batch is read before the answer begins: an error can still be answered with a problem.
            lines = await _next_lines(request, batches, lines_of)
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return response
            request[TIME_LIMIT].reschedule(None)  # each batch now has limits of its own
            try:
                while lines is not None and _is_listening(request):
                    async with asyncio.timeout(deps.limits.stall_seconds):
                        await response.write(lines.encode())
                    lines = await _next_lines(request, batches, lines_of)
            except Exception as error:  # an answer that has begun cannot become a problem
                log.warning("export_aborted", request_id=request_id_of(request), error=type(error).__name__)
                if request.transport is not None:
                    request.transport.abort()
    return response


async def _next_lines(
    request: web.Request, batches: AsyncIterator[list[CallRecord]], lines_of: Callable[[list[CallRecord]], str]
) -> str | None:
    """Reads the next batch; None at the end."""
    async with asyncio.timeout(request.app[DEPENDENCIES].limits.storage_seconds):
        records = await anext(batches, None)
        await check_key_again(request)  # an export can take hours, and its key may be revoked meanwhile
    return None if records is None else lines_of(records)


def _is_listening(request: web.Request) -> bool:
    """Whether the client is connected. Strict filters can leave nothing to write for long, so no write would fail."""
    return request.transport is not None and not request.transport.is_closing()


@contextmanager
def _under_way(request: web.Request) -> Iterator[None]:
    """Counts a running export. Raises ProblemError if there are too many."""
    under_way, account = request.app[UNDER_WAY], request[ACCOUNT_ID]
    if under_way[account] >= MAX_OF_ACCOUNT:
        raise ProblemError(
            "too_many_requests", f"The account already has {MAX_OF_ACCOUNT} exports running.", retry_after=5
        )
    if under_way.total() >= MAX_AT_ONCE:
        raise ProblemError("overloaded", "Too many exports are running.")
    under_way[account] += 1
    try:
        yield
    finally:
        under_way[account] -= 1
        if not under_way[account]:
            del under_way[account]


TAG = "Call records"
DETAIL = (
    "All call records that match the filters, newest call first, streamed. An answer without its last chunk was "
    "aborted and is incomplete. An account may run two exports at the same time."
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
            "Export call records as JSON lines",
            answers={200: None},
            detail=DETAIL,
            streams=JSONL,
        ),
        parameters=OF_ALL,
    ),
)
