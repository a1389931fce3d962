"""/bookings/{id}/swap-number: another rented number for a booking."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.idempotency import answer_once, kept
from api.http.parsing import read_body
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, TAG, id_of
from api.schemas.booking_requests import NumberWish
from api.schemas.bookings import BookingBody
from engine.bookings import swapping
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction


async def swap_number(request: web.Request) -> web.Response:
    """Gives a booking another rented number."""
    deps, booking_id, now = request.app[DEPENDENCIES], id_of(request), now_of(request)
    body = await read_body(request, NumberWish)

    def swap(tx: Transaction) -> KeptAnswer:
        booking = swapping.swap_number(tx, request[ACCOUNT_ID], booking_id, now, deps.policy, body.wanted)
        return kept(BookingBody.of(booking, now, deps.policy), status=200)

    return await answer_once(request, body, swap)


ROUTES = (
    Route(
        "POST",
        "/bookings/{id}/swap-number",
        swap_number,
        Operation(
            "swapNumber",
            TAG,
            "Give a booking another number",
            answers={200: BookingBody},
            problems=("gone", "quota_reached", "too_many_new_bookings", "number_not_free", "no_number_free"),
            detail="The credit and everything else of the booking stay. The old number goes to quarantine at once; its "
            "live calls go on. Send `{}` for a number as a new booking without a wish gets it. A swap counts like a "
            "new booking, and the old number counts as a booking until its quarantine is over. Without an "
            "`Idempotency-Key`, a repeated request swaps twice.",
        ),
        body=NumberWish,
        keyed=True,
        placeholders=ONE,
    ),
)
