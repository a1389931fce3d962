"""/bookings: book, list, see, renew, change, cancel. `engine.bookings` has the rules; this module has the HTTP."""

import asyncio
from typing import Any

import structlog
from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.idempotency import answer_once, kept
from api.http.paging import Listing, page_answer, requested_page
from api.http.parsing import read_body
from api.http.responses import json_answer, request_id_of
from api.http.routes import Operation, Route
from api.resources.booking_filters import PARAMETERS as FILTERS
from api.resources.booking_filters import filter_of
from api.schemas.booking_requests import BookingChange, BookingPatchBody, NewBooking
from api.schemas.bookings import BookingBody, BookingPage
from api.schemas.fields import BOOKING_ID
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch, BookingRequest, Renewal
from engine.domain.booking import CallerId
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import BookingLimits
from engine.storage.kept_answers import KeptAnswer
from engine.storage.reads import PAGE_CHARACTERS
from engine.storage.scanning import SCAN_LIMIT
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

LISTING = Listing("bookings", BOOKING_ID)


async def create(request: web.Request) -> web.Response:
    """Books a number."""
    deps = request.app[DEPENDENCIES]
    body = await read_body(request, NewBooking)
    now, wanted = now_of(request), wanted_booking(request[ACCOUNT_ID], body)

    def book(tx: Transaction) -> KeptAnswer:
        booking = bookings.book(tx, wanted, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=201, location=f"/bookings/{booking.id}")

    return await answer_once(request, body, book)


def wanted_booking(account_id: AccountId, body: NewBooking) -> BookingRequest:
    """Returns what a body asks for."""
    return BookingRequest(
        account_id,
        None if body.destination is None else E164(body.destination),
        body.usage_plan,
        body.callback,
        BookingLimits(**body.limits_sent()),
        CallerId.SERVICE if body.participants else body.caller_id,
        body.refuse_anonymous,
        body.paused,
        body.label or "",
        body.metadata,
        body.wanted,
        body.language,
        body.start_sent(),
        body.whisper,
        body.screening,
        None if body.hours is None else body.hours.weekly(),
        body.reverse,
        body.greeting,
        body.pair,
        body.accept_former_callers,
        body.pins,
        body.beep,
    )


async def index(request: web.Request) -> web.Response:
    """Answers with a page of bookings, newest first."""
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    page = requested_page(request, LISTING)
    booking_filter = filter_of(request, request[ACCOUNT_ID], now, deps.policy)
    found = await deps.reads.bookings(
        request[ACCOUNT_ID], booking_filter, before_id=page.after_id, limit=page.read_limit
    )
    return page_answer(
        request,
        LISTING,
        page,
        found.records,
        lambda booking: BookingBody.of(booking, now, deps.policy),
        goes_on_after=found.goes_on_after,
    )


async def show(request: web.Request) -> web.Response:
    """Answers with a booking."""
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    booking = await deps.reads.booking(id_of(request))
    owned = bookings.owned(booking, request[ACCOUNT_ID], now, deps.policy)
    return json_answer(BookingBody.of(owned, now, deps.policy))


async def renew(request: web.Request) -> web.Response:
    """Adds a plan to a booking, and changes what else is sent."""
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    body = await read_body(request, BookingChange)
    now = now_of(request)
    renewal = Renewal(body.usage_plan, **changes_of(body))

    def add_plan(tx: Transaction) -> KeptAnswer:
        booking = bookings.renew(tx, request[ACCOUNT_ID], booking_id, renewal, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=200)

    answer = await answer_once(request, body, add_plan)
    deps.renewed(booking_id)
    return answer


async def change(request: web.Request) -> web.Response:
    """Changes a booking without renewing it."""
    booking_id = id_of(request)
    return json_answer(await change_booking(request, booking_id, await read_body(request, BookingPatchBody)))


async def change_booking(request: web.Request, booking_id: BookingId, body: BookingPatchBody) -> BookingBody:
    """Changes a booking of the request's account without renewing it."""
    deps, now = request.app[DEPENDENCIES], now_of(request)
    patch = BookingPatch(**changes_of(body))
    booking = await deps.run(bookings.change, request[ACCOUNT_ID], booking_id, patch, now, deps.policy)
    deps.renewed(booking_id)
    return BookingBody.of(booking, now, deps.policy)


def changes_of(body: BookingPatchBody) -> dict[str, Any]:
    """Returns the arguments of `BookingPatch`."""
    return {
        "destination": body.destination,
        "callback": body.callback,
        "limits": body.limits_sent(),
        "caller_id": body.caller_id,
        "refuse_anonymous": body.refuse_anonymous,
        "paused": body.paused,
        "label": body.label_sent(),
        "metadata": body.metadata,
        "language": body.language,
        "whisper": body.whisper,
        "screening": body.screening,
        "hours": body.hours_sent(),
        "reverse": body.reverse,
        "greeting": body.greeting,
        "accept_former_callers": body.accept_former_callers,
        "beep": body.beep,
        "start_at": body.start_sent(),
    }


async def cancel(request: web.Request) -> web.Response:
    """Deletes a booking and ends its live calls."""
    await cancel_booking(request, id_of(request))
    return web.Response(status=204)


async def cancel_booking(request: web.Request, booking_id: BookingId) -> None:
    """Deletes a booking of the request's account and ends its live calls."""
    deps = request.app[DEPENDENCIES]
    channels = await deps.run(bookings.cancel, request[ACCOUNT_ID], booking_id, now_of(request), deps.policy)
    await hang_up(channels, request)


async def hang_up(channels: list[CallId], request: web.Request) -> None:
    """Ends live calls. Never raises, because the booking is gone already; the sweeps end the calls that remain."""
    deps = request.app[DEPENDENCIES]
    if not channels:
        return
    try:
        async with asyncio.timeout(deps.limits.hang_up_seconds):
            await deps.hang_up(channels)
    except Exception as error:
        log.warning(
            "hang_up_failed", request_id=request_id_of(request), error=type(error).__name__, calls=len(channels)
        )


def id_of(request: web.Request) -> BookingId:
    """Returns the booking's id from the path. Raises NotFound for text that is no id, as for an unknown id."""
    booking_id = request.match_info["id"]
    if not LISTING.id_pattern.fullmatch(booking_id):
        raise NotFound("there is no such booking")
    return BookingId(booking_id)


TAG = "Bookings"
ONE = {"id": BOOKING_ID}
CHANGE_PROBLEMS = (
    "gone",
    "not_for_pairs",
    "destination_not_allowed",
    "destination_is_ours",
    "voice_is_off",
    "reverse_unavailable",
    "booking_begun",
    "booking_too_long",
)

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
                "voice_is_off",
                "reverse_unavailable",
                "quota_reached",
                "too_many_new_bookings",
                "booking_too_long",
                "number_not_free",
                "no_number_free",
            ),
            creates="/bookings/{id}",
            detail="Without `service`, `prefix`, `country` and `area` you get a number of the destination's country "
            "where one is free (the operator may switch this off), and any free number otherwise. With `participants` "
            "in place of `destination`, these two call the rented number and reach each other; other pairs may share "
            "that number.",
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
            detail="Only active bookings, unless `status` or `includeExpired` is given. With several filters, a "
            f"booking must match all. A request scans up to {SCAN_LIMIT} bookings, and a page ends after "
            f"{PAGE_CHARACTERS} characters of metadata: it may have fewer bookings than `limit` although `hasMore` is "
            "`true`.",
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
            problems=CHANGE_PROBLEMS,
            detail="Every `PUT` renews: it adds the plan's seconds and calls to what is left, moves `endTime` by "
            "the plan's days, and makes an expired booking active again. Without an `Idempotency-Key`, a repeated "
            "request adds the plan twice.",
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
            problems=CHANGE_PROBLEMS,
            detail="Only the fields that are sent change. No credit is added, and an expired booking stays expired. "
            "`startTime` can change until the booking has begun; `endTime` moves along. "
            "While `paused` is `true`, new calls are refused; live calls go on, and so does the booking's time.",
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
            detail="The booking is gone for good, its live calls end, and its number goes to quarantine. "
            "Call records stay.",
        ),
        placeholders=ONE,
    ),
)
