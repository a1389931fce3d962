"""Call records: /cdr has all of the account's, which outlive their bookings; /bookings/{id}/calls has a booking's."""

from dataclasses import replace

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.paging import CallListing, answer_page
from api.http.parsing import limit_of
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, id_of
from api.resources.cdr_filters import OF_ALL, OF_BOOKING, wanted_records
from api.schemas.cdrs import CdrBody, CdrPage
from api.schemas.fields import CDR_ID
from engine.bookings.lifecycle import owned
from engine.cdr.listing import record_page
from engine.domain.errors import NotFound
from engine.domain.times import EpochMs
from engine.storage.cdrs import Cdr, WantedRecords

LISTING = CallListing("cdrs", CDR_ID)
OF_BOOKING_LISTING = CallListing("booking-calls", CDR_ID)
# A booking has no calls from before it was made. If the clock was set back meanwhile, their times can be earlier, by up
# to this much.
CLOCK_SET_BACK_MS = 3_600_000


async def index(request: web.Request) -> web.Response:
    """Answers with a page of the account's call records, newest call first."""
    return await _page(request, LISTING, wanted_records(request))


async def of_booking(request: web.Request) -> web.Response:
    """Answers with a page of a booking's call records, newest call first."""
    deps = request.app[DEPENDENCIES]
    wanted = wanted_records(request)
    booking = owned(await deps.reads.booking(id_of(request)), request[ACCOUNT_ID], now_of(request), deps.policy)
    since = max(wanted.since, booking.created_at - CLOCK_SET_BACK_MS)
    return await _page(request, OF_BOOKING_LISTING, replace(wanted, booking_id=booking.id, since=EpochMs(since)))


async def show(request: web.Request) -> web.Response:
    """Answers with a call record."""
    cdr_id = request.match_info["id"]
    well_formed = LISTING.id_pattern.fullmatch(cdr_id)
    cdr = await request.app[DEPENDENCIES].reads.cdr(request[ACCOUNT_ID], cdr_id) if well_formed else None
    if cdr is None:
        raise NotFound("there is no such call record")
    return json_answer(CdrBody.of(cdr))


async def _page(request: web.Request, listing: CallListing, wanted: WantedRecords) -> web.Response:
    records, next_cursor = await records_of(request, listing, wanted)
    return answer_page(request, [CdrBody.of(cdr) for cdr in records], next_cursor)


async def records_of(request: web.Request, listing: CallListing, wanted: WantedRecords) -> tuple[list[Cdr], str | None]:
    """Returns the page of records that the query asks for, and the cursor of the next page."""
    cursor = request.query.get("cursor")
    after = None if cursor is None else listing.position_of(cursor)
    page = await record_page(request.app[DEPENDENCIES].reads, wanted, after, limit_of(request))
    next_cursor = None if page.more_after is None else listing.cursor_after(page.more_after)
    return [record.cdr for record in page.records], next_cursor


TAG = "Call records"
PAGES = frozenset({"limit", "cursor"})
DETAIL = (
    "With filters, a request scans some thousand records and answers with those that match. So a page may have fewer "
    "records than `limit`, even none, although `hasMore` is `true`. Continue with `nextCursor`."
)

ROUTES = (
    Route(
        "GET",
        "/cdr",
        index,
        Operation(
            "listCallRecords", TAG, "List call records, newest call first", answers={200: CdrPage}, detail=DETAIL
        ),
        parameters=OF_ALL | PAGES,
    ),
    Route(
        "GET",
        "/cdr/{id}",
        show,
        Operation("getCallRecord", TAG, "See a call record", answers={200: CdrBody}),
        placeholders={"id": CDR_ID},
    ),
    Route(
        "GET",
        "/bookings/{id}/calls",
        of_booking,
        Operation(
            "listCallsOfBooking",
            TAG,
            "List the call records of a booking, newest call first",
            answers={200: CdrPage},
            problems=("gone",),
            detail=DETAIL,
        ),
        parameters=OF_BOOKING | PAGES,
        placeholders=ONE,
    ),
)
