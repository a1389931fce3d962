"""/cdr: the account's call records. They outlive the bookings that they were made on."""

from aiohttp import web

from api.answers import json_answer
from api.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.fields import CDR_ID
from api.paging import Listing, page_answer, page_request
from api.routes import Operation, Route
from api.schemas import CdrBody, Page
from engine.domain.errors import NotFound

LISTING = Listing("cdrs", CDR_ID)


async def index(request: web.Request) -> web.Response:
    """Newest first, in the order in which the calls ended."""
    asked = page_request(request, LISTING)
    records = await request.app[DEPENDENCIES].reads.cdrs(
        request[ACCOUNT_ID], before_id=asked.after_id, at_most=asked.at_most
    )
    return page_answer(request, LISTING, asked, records, CdrBody.of)


async def show(request: web.Request) -> web.Response:
    cdr_id = request.match_info["id"]
    well_formed = LISTING.id_pattern.fullmatch(cdr_id)
    cdr = await request.app[DEPENDENCIES].reads.cdr(request[ACCOUNT_ID], cdr_id) if well_formed else None
    if cdr is None:
        raise NotFound("there is no such call record")
    return json_answer(CdrBody.of(cdr))


TAG = "Call records"

ROUTES = (
    Route(
        "GET",
        "/cdr",
        index,
        Operation("listCallRecords", TAG, "List call records, the last ended first", answers={200: Page[CdrBody]}),
        parameters=frozenset({"limit", "cursor"}),
    ),
    Route(
        "GET",
        "/cdr/{id}",
        show,
        Operation("getCallRecord", TAG, "See a call record", answers={200: CdrBody}),
        placeholders={"id": CDR_ID},
    ),
)
