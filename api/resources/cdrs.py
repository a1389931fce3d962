"""/cdr: the account's call records, which outlive the bookings that they were made on. /bookings/{id}/calls: those of a
booking that is there."""

from dataclasses import replace

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.paging import CallListing, answer_page
from api.http.parameters import limit_of
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, id_of
from api.resources.cdr_filters import OF_ALL, OF_BOOKING, wanted_records
from api.schemas.common import CdrBody, CdrPage
from api.schemas.fields import CDR_ID
from engine.bookings.lifecycle import owned
from engine.cdr.listing import record_page
from engine.domain.errors import NotFound
from engine.domain.times import EpochMs
from engine.storage.cdrs import WantedRecords

LISTING = CallListing("cdrs", CDR_ID)
OF_BOOKING_LISTING = CallListing("booking-calls", CDR_ID)
# No call to a booking came in before it was made, by a clock that was set back by no more than this meanwhile.
CLOCK_SET_BACK_MS = 3_600_000


async def index(request: web.Request) -> web.Response:
    """Newest first, in the order in which the calls came in."""
    return await _page(request, LISTING, wanted_records(request))


async def of_booking(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    wanted = wanted_records(request)
    booking = owned(await deps.reads.booking(id_of(request)), request[ACCOUNT_ID], now_of(request), deps.policy)
    since = max(wanted.since, booking.created_at - CLOCK_SET_BACK_MS)
    return await _page(request, OF_BOOKING_LISTING, replace(wanted, booking_id=booking.id, since=EpochMs(since)))


async def show(request: web.Request) -> web.Response:
    cdr_id = request.match_info["id"]
    well_formed = LISTING.id_pattern.fullmatch(cdr_id)
    cdr = await request.app[DEPENDENCIES].reads.cdr(request[ACCOUNT_ID], cdr_id) if well_formed else None
    if cdr is None:
        raise NotFound("there is no such call record")
    return json_answer(CdrBody.of(cdr))


async def _page(request: web.Request, listing: CallListing, wanted: WantedRecords) -> web.Response:
    cursor = request.query.get("cursor")
    after = None if cursor is None else listing.position_of(cursor)
    page = await record_page(request.app[DEPENDENCIES].reads, wanted, after, limit_of(request))
    next_cursor = None if page.more_after is None else listing.cursor_after(page.more_after)
    return answer_page(request, [CdrBody.of(record.cdr) for record in page.records], next_cursor)


TAG = "Call records"
PAGES = frozenset({"limit", "cursor"})
DETAIL = (
    "With filters, a page comes after some thousand records that were looked at, with what was found by then: it may "
    "hold fewer than `limit`, even none, while `hasMore` is true and `nextCursor` goes on."
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
