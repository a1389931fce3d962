"""/bookings/{id}/blocked-callers: block, list, unblock."""

import re
from urllib.parse import quote

from aiohttp import hdrs, web

from api.answers import json_answer
from api.bodies import read_body
from api.bookings import id_of
from api.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.paging import Listing, page_answer, page_request
from api.routes import Route
from api.schemas import BlockedCallerBody, NewBlockedCaller
from engine import blocked_callers
from engine.bookings import owned

PATH = "/bookings/{id}/blocked-callers"
# As in engine.domain.numbers: a cursor holds nothing else.
LISTING = Listing("blocked-callers", re.compile(r"\+[1-9][0-9]{6,14}"))


async def create(request: web.Request) -> web.Response:
    """201 for one that is new, 200 for one that is blocked already: a repeated request changes nothing."""
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    wanted = await read_body(request, NewBlockedCaller)
    blocked, is_new = await deps.run(
        blocked_callers.block, request[ACCOUNT_ID], booking_id, wanted.caller, deps.clock.now(), deps.policy
    )
    headers: dict[str, str] = {hdrs.LOCATION: f"{PATH.format(id=booking_id)}/{quote(blocked.caller, safe='')}"}
    return json_answer(BlockedCallerBody.of(blocked), status=201 if is_new else 200, headers=headers)


async def index(request: web.Request) -> web.Response:
    """In the order of their numbers."""
    deps = request.app[DEPENDENCIES]
    asked = page_request(request, LISTING)
    booking = await deps.reads.booking(id_of(request))
    booking_id = owned(booking, request[ACCOUNT_ID], deps.clock.now(), deps.policy).id
    records = await deps.reads.blocked_callers(booking_id, after=asked.after_id or "", at_most=asked.at_most)
    return page_answer(request, LISTING, asked, records, BlockedCallerBody.of)


async def delete(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    caller = request.match_info["caller"]
    await deps.run(blocked_callers.unblock, request[ACCOUNT_ID], id_of(request), caller, deps.clock.now(), deps.policy)
    return web.Response(status=204)


ROUTES = (
    Route("POST", PATH, create, body=NewBlockedCaller),
    Route("GET", PATH, index, parameters=frozenset({"limit", "cursor"})),
    Route("DELETE", PATH + "/{caller}", delete),
)
