"""/bookings: book, list, see, renew, cancel. The rules are the use cases'; here they get their HTTP."""

import asyncio

import structlog
from aiohttp import web

from api.answers import json_answer
from api.bodies import read_body
from api.dependencies import ACCOUNT_ID, DEPENDENCIES, Dependencies, now_of
from api.fields import BOOKING_ID
from api.idempotency import answer_once, kept
from api.paging import Listing, page_answer, page_request
from api.parameters import flag_of
from api.routes import Operation, Route
from api.schemas import BookingBody, BookingChange, NewBooking, Page
from engine import bookings
from engine.bookings import BookingRequest, Renewal
from engine.domain.errors import NotFound
from engine.domain.limits import Limits
from engine.storage.rows import KeptAnswer
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

LISTING = Listing("bookings", BOOKING_ID)


async def create(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    wanted = await read_body(request, NewBooking)
    now = now_of(request)
    deps.check_callback(wanted.callback)
    asked = BookingRequest(
        request[ACCOUNT_ID],
        wanted.destination,
        wanted.usage_plan,
        wanted.callback,
        Limits(**wanted.limits_sent()),
        wanted.caller_id,
        wanted.refuse_anonymous,
    )

    def book(tx: Transaction) -> KeptAnswer:
        booking = bookings.book(tx, asked, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=201, location=f"/bookings/{booking.id}")

    return await answer_once(request, wanted, book)


async def index(request: web.Request) -> web.Response:
    """Newest first. Those in their grace only when asked for."""
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    asked = page_request(request, LISTING)
    grace_ms = deps.policy.grace_ms if flag_of(request, "includeExpired") else 0
    records = await deps.reads.bookings(
        request[ACCOUNT_ID],
        expires_after=now - grace_ms,
        before_id=asked.after_id,
        at_most=asked.at_most,
    )
    return page_answer(request, LISTING, asked, records, lambda booking: BookingBody.of(booking, now, deps.policy))


async def show(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    now = now_of(request)
    booking = await deps.reads.booking(id_of(request))
    owned = bookings.owned(booking, request[ACCOUNT_ID], now, deps.policy)
    return json_answer(BookingBody.of(owned, now, deps.policy))


async def change(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    booking_id = id_of(request)
    wanted = await read_body(request, BookingChange)
    now = now_of(request)
    if wanted.callback is not None:
        deps.check_callback(wanted.callback)
    asked = Renewal(
        wanted.usage_plan,
        wanted.destination,
        wanted.callback,
        wanted.limits_sent(),
        wanted.caller_id,
        wanted.refuse_anonymous,
    )

    def renew(tx: Transaction) -> KeptAnswer:
        booking = bookings.renew(tx, request[ACCOUNT_ID], booking_id, asked, now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=200)

    answer = await answer_once(request, wanted, renew)
    deps.renewed(booking_id)
    return answer


async def cancel(request: web.Request) -> web.Response:
    deps = request.app[DEPENDENCIES]
    channels = await deps.run(bookings.cancel, request[ACCOUNT_ID], id_of(request), now_of(request), deps.policy)
    if channels:
        await _hang_up(channels, deps)
    return web.Response(status=204)


async def _hang_up(channels: list[str], deps: Dependencies) -> None:
    """Never raises: the booking is gone already. Calls that cannot be ended now are left to the sweeps."""
    try:
        async with asyncio.timeout(deps.limits.hang_up_seconds):
            await deps.hang_up(channels)
    except Exception as error:
        log.warning("hang_up_failed", error=type(error).__name__, calls=len(channels))


def id_of(request: web.Request) -> str:
    """Raises NotFound, the same as for an id that is well formed and unknown."""
    booking_id = request.match_info["id"]
    if not LISTING.id_pattern.fullmatch(booking_id):
        raise NotFound("there is no such booking")
    return booking_id


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
            problems=("destination_not_allowed", "destination_is_ours", "quota_reached", "no_number_free"),
            creates="/bookings/{id}",
        ),
        body=NewBooking,
        keyed=True,
    ),
    Route(
        "GET",
        "/bookings",
        index,
        Operation("listBookings", TAG, "List bookings, newest first", answers={200: Page[BookingBody]}),
        parameters=frozenset({"includeExpired", "limit", "cursor"}),
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
        change,
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
