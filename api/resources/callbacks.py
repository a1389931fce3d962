"""/callbacks: the delivery of each callback, and sending callbacks again."""

import re
from dataclasses import dataclass

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, machine_timestamp
from api.http.paging import Listing, page_answer, requested_page
from api.http.parsing import booking_id_of, read_body, span_of, unacceptable
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.callbacks import CallbackBody, CallbackDetailBody, CallbackPage, RedeliveredBody, Redelivery
from api.schemas.fields import CALLBACK_ID
from engine.callbacks import redelivery
from engine.domain.errors import NotFound
from engine.domain.pacing import REDELIVERY_COOLDOWN_MS
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs, instant_from
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.outbox import CallbackPosition, CallbackRecord
from engine.storage.scanning import SCAN_LIMIT

PLACE = re.compile(f"-?[0-9]{{1,16}}:{CALLBACK_ID.pattern}")
LISTING = Listing("callbacks", PLACE)
REDELIVERIES = Listing("redeliveries", PLACE)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A callback with its position: lists are in the order of creation, and of ids where that is the same."""

    record: CallbackRecord

    @property
    def id(self) -> str:
        """The position, which cursors hold."""
        return _place(CallbackPosition(self.record.created_at, self.record.id))

    def body(self) -> CallbackBody:
        """The JSON of the callback."""
        return CallbackBody.of(self.record)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of callbacks, newest first."""
    page = requested_page(request, LISTING)
    since, until = span_of(request, EARLIEST, LATEST)
    before = CallbackPosition(until, "")
    if page.after_id is not None:
        before = min(before, _position(page.after_id))
    found = await request.app[DEPENDENCIES].reads.callbacks(
        request[ACCOUNT_ID],
        state=_state(request),
        booking_id=booking_id_of(request),
        since=EpochMs(since),
        before=before,
        limit=page.read_limit,
    )
    return page_answer(
        request,
        LISTING,
        page,
        [_Placed(record) for record in found.records],
        _Placed.body,
        goes_on_after=None if found.goes_on_after is None else _place(found.goes_on_after),
    )


async def show(request: web.Request) -> web.Response:
    """Answers with a callback and its attempts."""
    reads, callback_id = request.app[DEPENDENCIES].reads, _id_of(request)
    record = await reads.callback(request[ACCOUNT_ID], callback_id)
    if record is None:
        raise NotFound("there is no such callback")
    return json_answer(CallbackDetailBody.with_log(record, await reads.callback_attempts(callback_id)))


async def redeliver(request: web.Request) -> web.Response:
    """Schedules a callback again: 202. If an attempt is under way, nothing changes: 200."""
    deps = request.app[DEPENDENCIES]
    record, begun = await deps.run(
        redelivery.redeliver, request[ACCOUNT_ID], _id_of(request), machine_timestamp(request).wall_ms
    )
    return json_answer(CallbackBody.of(record), status=202 if begun else 200)


async def redeliver_all(request: web.Request) -> web.Response:
    """Schedules the callbacks of a time span again, up to a limit for each request."""
    deps = request.app[DEPENDENCIES]
    sent = await read_body(request, Redelivery, is_cursor=REDELIVERIES.is_cursor)
    if sent.cursor is None:
        after = CallbackPosition(instant_from(sent.since) or 0, "")
    else:
        after = _position(REDELIVERIES.position_of(sent.cursor))
    until = LATEST if sent.until is None else instant_from(sent.until) or 0
    done = await deps.run(
        redelivery.redeliver_all,
        request[ACCOUNT_ID],
        CallbackState(sent.state),
        after,
        EpochMs(until),
        machine_timestamp(request).wall_ms,
    )
    cursor = None if done.last is None else REDELIVERIES.cursor_after(_place(done.last))
    body = RedeliveredBody(redelivered=done.count, has_more=cursor is not None, next_cursor=cursor)
    return json_answer(body, status=202)


def _place(position: CallbackPosition) -> str:
    return f"{position.created_at}:{position.id}"


def _position(place: str) -> CallbackPosition:
    instant, _, callback_id = place.partition(":")
    return CallbackPosition(int(instant), callback_id)


def _id_of(request: web.Request) -> str:
    callback_id = request.match_info["id"]
    if not CALLBACK_ID.fullmatch(callback_id):
        raise NotFound("there is no such callback")
    return callback_id


def _state(request: web.Request) -> CallbackState | None:
    state = request.query.get("state")
    if state is None:
        return None
    if state not in list(CallbackState):
        raise unacceptable("state", f"must be one of {', '.join(CallbackState)}")
    return CallbackState(state)


TAG = "Delivery of callbacks"
ONE = {"id": CALLBACK_ID}

ROUTES = (
    Route(
        "GET",
        "/callbacks",
        index,
        Operation(
            "listCallbacks",
            TAG,
            "List callbacks, newest first",
            answers={200: CallbackPage},
            detail=f"With `state` or `bookingId`, a request scans up to {SCAN_LIMIT} callbacks: a page may have fewer "
            "than `limit`, or none, and still have a next page.",
        ),
        parameters=frozenset({"limit", "cursor", "state", "bookingId", "from", "to"}),
    ),
    Route(
        "POST",
        "/callbacks/redeliver",
        redeliver_all,
        Operation(
            "redeliverCallbacks",
            TAG,
            "Send the callbacks of a time span again",
            answers={202: RedeliveredBody},
            problems=("invalid_cursor", "too_many_redeliveries"),
            detail=f"Oldest first, up to {redelivery.BATCH} for each request. Continue with `nextCursor` as long as "
            "`hasMore` is true, also if a request has scheduled none. Callbacks that were sent again within the last "
            f"{REDELIVERY_COOLDOWN_MS // 1000} seconds are skipped.",
        ),
        body=Redelivery,
    ),
    Route(
        "GET",
        "/callbacks/{id}",
        show,
        Operation("getCallback", TAG, "See a callback and its attempts", answers={200: CallbackDetailBody}),
        placeholders=ONE,
    ),
    Route(
        "POST",
        "/callbacks/{id}/redeliver",
        redeliver,
        Operation(
            "redeliverCallback",
            TAG,
            "Send a callback again",
            answers={200: CallbackBody, 202: CallbackBody},
            problems=("redelivered_too_soon", "too_many_redeliveries"),
            detail="It keeps its id, and its retry schedule starts again. 200: an attempt is under way, and "
            f"nothing changes. A callback can be sent again once in {REDELIVERY_COOLDOWN_MS // 1000} seconds.",
        ),
        placeholders=ONE,
    ),
)
