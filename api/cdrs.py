"""/cdr: the account's call records. They outlive the bookings that they were made on."""

import re

from aiohttp import web

from api.answers import json_answer
from api.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.paging import Listing, page_answer, page_request
from api.routes import Route
from api.schemas import CdrBody
from engine.domain.errors import NotFound

LISTING = Listing("cdrs", re.compile(r"cdr_[0-9a-f]{32}"))


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


ROUTES = (
    Route("GET", "/cdr", index, parameters=frozenset({"limit", "cursor"})),
    Route("GET", "/cdr/{id}", show),
)
