"""/bookings/{id}/blocked-callers: block, list, unblock."""

from urllib.parse import quote

from aiohttp import hdrs, web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.paging import Listing, page_answer, requested_page
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, id_of
from api.schemas.bookings import BlockedCallerBody, BlockedCallerPage, NewBlockedCaller
from engine.bookings import blocked_callers
from engine.bookings.lifecycle import owned
from engine.domain.numbers import E164_PATTERN

PATH = "/bookings/{id}/blocked-callers"
LISTING = Listing("blocked-callers", E164_PATTERN)


async def create(request: web.Request) -> web.Response:
    """Blocks a caller. 201 if it is new, 200 if it is blocked already: repeating the request changes nothing."""
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    body = await read_body(request, NewBlockedCaller)
    blocked, is_new = await deps.run(
        blocked_callers.block, request[ACCOUNT_ID], booking_id, body.caller, now_of(request), deps.policy
    )
    headers: dict[str, str] = {hdrs.LOCATION: f"{PATH.format(id=booking_id)}/{quote(blocked.caller, safe='')}"}
    return json_answer(BlockedCallerBody.of(blocked), status=201 if is_new else 200, headers=headers)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of blocked callers, in the order of their numbers."""
    deps = request.app[DEPENDENCIES]
    page = requested_page(request, LISTING)
    booking = await deps.reads.booking(id_of(request))
    booking_id = owned(booking, request[ACCOUNT_ID], now_of(request), deps.policy).id
    records = await deps.reads.blocked_callers(booking_id, after=page.after_id, limit=page.read_limit)
    return page_answer(request, LISTING, page, records, BlockedCallerBody.of)


async def delete(request: web.Request) -> web.Response:
    """Unblocks a caller."""
    deps = request.app[DEPENDENCIES]
    caller = request.match_info["caller"]
    await deps.run(blocked_callers.unblock, request[ACCOUNT_ID], id_of(request), caller, now_of(request), deps.policy)
    return web.Response(status=204)


TAG = "Blocked callers"

ROUTES = (
    Route(
        "POST",
        PATH,
        create,
        Operation(
            "blockCaller",
            TAG,
            "Block a caller",
            answers={200: BlockedCallerBody, 201: BlockedCallerBody},
            problems=("gone", "too_many_blocked_callers"),
            creates=PATH + "/{caller}",
            detail="Blocking a caller again changes nothing and is answered with 200.",
        ),
        body=NewBlockedCaller,
        placeholders=ONE,
    ),
    Route(
        "GET",
        PATH,
        index,
        Operation(
            "listBlockedCallers",
            TAG,
            "List blocked callers, by number",
            answers={200: BlockedCallerPage},
            problems=("gone",),
        ),
        parameters=frozenset({"limit", "cursor"}),
        placeholders=ONE,
    ),
    Route(
        "DELETE",
        PATH + "/{caller}",
        delete,
        Operation("unblockCaller", TAG, "Unblock a caller", answers={204: None}, problems=("gone",)),
        placeholders=ONE | {"caller": E164_PATTERN},
    ),
)
