"""/bookings: book, list, see, renew, change, cancel. The rules are the use cases'; here they get their HTTP."""

import asyncio
from typing import Any

import structlog
from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, Dependencies, now_of
from api.http.idempotency import answer_once, kept
from api.http.paging import Listing, page_answer, page_request
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.booking_filters import PARAMETERS as FILTERS
from api.resources.booking_filters import filter_of
from api.schemas.bookings import BookingBody, BookingChange, BookingPage, BookingPatchBody, NewBooking
from api.schemas.fields import BOOKING_ID
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch, BookingRequest, Renewal
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import BookingLimits
from engine.storage.filters import LOOKED_AT
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

LISTING = Listing("bookings", BOOKING_ID)


async def create(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    wanted = await read_body(request, NewBooking)
    now = now_of(request)
    asked = BookingRequest(
        request[ACCOUNT_ID],
        E164(wanted.destination),
        wanted.usage_plan,
        wanted.callback,
        BookingLimits(**wanted.limits_sent()),
        wanted.caller_id,
        wanted.refuse_anonymous,
        wanted.paused,
        wanted.label or "",
        wanted.metadata,
        wanted.wanted,
    )

    def book(tx: Transaction) -> KeptAnswer:
        booking = bookings.book(tx, asked, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=201, location=f"/bookings/{booking.id}")

    return await answer_once(request, wanted, book)


async def index(request: web.Request) -> web.Response:
    """Newest first."""
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    asked = page_request(request, LISTING)
    wanted = filter_of(request, now, deps.policy)
    found = await deps.reads.bookings(request[ACCOUNT_ID], wanted, before_id=asked.after_id, at_most=asked.read_limit)
    return page_answer(
        request,
        LISTING,
        asked,
        found.records,
        lambda booking: BookingBody.of(booking, now, deps.policy),
        goes_on_after=found.goes_on_after,
    )


async def show(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    booking = await deps.reads.booking(id_of(request))
    owned = bookings.owned(booking, request[ACCOUNT_ID], now, deps.policy)
    return json_answer(BookingBody.of(owned, now, deps.policy))


async def renew(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    wanted = await read_body(request, BookingChange)
    now = now_of(request)
    asked = Renewal(wanted.usage_plan, **_changes(wanted))

    def add_plan(tx: Transaction) -> KeptAnswer:
        booking = bookings.renew(tx, request[ACCOUNT_ID], booking_id, asked, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=200)

    answer = await answer_once(request, wanted, add_plan)
    deps.renewed(booking_id)
    return answer


async def change(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    wanted = await read_body(request, BookingPatchBody)
    now = now_of(request)
    asked = BookingPatch(**_changes(wanted))
    booking = await deps.run(bookings.change, request[ACCOUNT_ID], booking_id, asked, now, deps.policy)
    deps.renewed(booking_id)
    return json_answer(BookingBody.of(booking, now, deps.policy))


def _changes(wanted: BookingPatchBody) -> dict[str, Any]:
    """The arguments of `BookingPatch`."""
    return {
        "destination": wanted.destination,
        "callback": wanted.callback,
        "limits": wanted.limits_sent(),
        "caller_id": wanted.caller_id,
        "refuse_anonymous": wanted.refuse_anonymous,
        "paused": wanted.paused,
        "label": wanted.label_sent(),
        "metadata": wanted.metadata,
    }


async def cancel(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    channels = await deps.run(bookings.cancel, request[ACCOUNT_ID], id_of(request), now_of(request), deps.policy)
    if channels:
        await _hang_up(channels, deps)
    return web.Response(status=204)


async def _hang_up(channels: list[CallId], deps: Dependencies) -> None:
    """Never raises: the booking is gone already. Calls that cannot be ended now are left to the sweeps."""
    try:
        async with asyncio.timeout(deps.limits.hang_up_seconds):
            await deps.hang_up(channels)
    except Exception as error:
        log.warning("hang_up_failed", error=type(error).__name__, calls=len(channels))


def id_of(request: web.Request) -> BookingId:
    """Raises NotFound, the same as for an id that is well formed and unknown."""
    booking_id = request.match_info["id"]
    if not LISTING.id_pattern.fullmatch(booking_id):
        raise NotFound("there is no such booking")
    return BookingId(booking_id)


TAG = "Bookings"
ONE = {"id": BOOKING_ID}

ROUTES = (
    Route(
        "POST",
        "/bookings",
        create,
        Operation(
            "createBooking",
            TAG,
            "Book a number",
            answers={201: BookingBody},
            problems=(
                "destination_not_allowed",
                "destination_is_ours",
                "quota_reached",
                "number_not_free",
                "no_number_free",
            ),
            creates="/bookings/{id}",
            detail="Any number, or with `service` that one, with `prefix` or `country` one of these.",
        ),
        body=NewBooking,
        keyed=True,
    ),
    Route(
        "GET",
        "/bookings",
        index,
        Operation(
            "listBookings",
            TAG,
            "List bookings, newest first",
            answers={200: BookingPage},
            detail="Active ones unless `status` or `includeExpired` say otherwise; of several conditions all must hold."
            f" A page looks at {LOOKED_AT} bookings: it may have fewer than `limit` although `hasMore` is `true`.",
        ),
        parameters=FILTERS | {"limit", "cursor"},
    ),
    Route(
        "GET",
        "/bookings/{id}",
        show,
        Operation("getBooking", TAG, "See a booking", answers={200: BookingBody}, problems=("gone",)),
        placeholders=ONE,
    ),
    Route(
        "PUT",
        "/bookings/{id}",
        renew,
        Operation(
            "renewBooking",
            TAG,
            "Renew or change a booking",
            answers={200: BookingBody},
            problems=("gone", "destination_not_allowed", "destination_is_ours", "booking_too_long"),
            detail="Every `PUT` renews: the plan's seconds and calls are added to what is left, `endTime` moves by the "
            "plan's days, an expired booking is active again. Sent twice without an `Idempotency-Key`, it adds twice.",
        ),
        body=BookingChange,
        keyed=True,
        placeholders=ONE,
    ),
    Route(
        "PATCH",
        "/bookings/{id}",
        change,
        Operation(
            "changeBooking",
            TAG,
            "Change a booking without renewing it",
            answers={200: BookingBody},
            problems=("gone", "destination_not_allowed", "destination_is_ours"),
            detail="Only what is sent changes; nothing is added, and an expired booking stays expired. `paused` keeps "
            "calls out until it is `false` again; those that are up go on, and so does the booking's time.",
        ),
        body=BookingPatchBody,
        placeholders=ONE,
    ),
    Route(
        "DELETE",
        "/bookings/{id}",
        cancel,
        Operation(
            "cancelBooking",
            TAG,
            "Cancel a booking",
            answers={204: None},
            problems=("gone",),
            detail="It is gone for good, its live calls are ended, its number rests in quarantine. Call records stay.",
        ),
        placeholders=ONE,
    ),
)
