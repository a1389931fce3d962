"""Bookings of all accounts, and one booking with its credit and its calls."""

from collections.abc import Mapping
from typing import Any

from api.http.parsing import unacceptable
from api.schemas.bookings import BookingBody
from api.schemas.fields import BOOKING_ID
from api.schemas.operator_rows import booking_record, booking_row, grant_row
from api.web.console.calls import record_row
from api.web.console.lists import BEFORE, PAGE, number_of, page_of, place_of, text_of, typed, wrong_number
from api.web.frame.booking_form import call_choices, texts_of
from api.web.frame.sandbox_clock import sandbox_data
from api.web.frame.site import Page, Visit
from engine.cdr.listing import record_page
from engine.domain.booking import BookingStatus, CallerId
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId
from engine.domain.masking import masked, masked_text
from engine.domain.numbers import is_simulated
from engine.domain.policy import UsagePlan
from engine.domain.web_access import Role
from engine.storage.cdrs import WantedRecords
from engine.storage.console_reads import SeenBooking

PATH = "/bookings"
ONE = f"{PATH}/{{id}}"
CALLER_IDS: Mapping[str, str] = {
    CallerId.CALLER: "the caller's number",
    CallerId.SERVICE: "the rented number",
    CallerId.ANONYMOUS: "no number",
}
SHOWN_GRANTS, SHOWN_CALLS = 100, 20


def bookings_pages() -> tuple[Page, ...]:
    """Returns the list and the page of one booking."""
    return (
        Page(
            PATH,
            "Bookings",
            Role.VIEWER,
            "console/bookings.html",
            load_list,
            command="bookings list",
            parameters=frozenset({"number", "account", "gone", BEFORE}),
        ),
        Page(
            ONE,
            "Booking",
            Role.VIEWER,
            "console/booking.html",
            load_one,
            command="bookings show {id}",
            api="/bookings/{id}",
            placeholders={"id": BOOKING_ID},
            in_menu=False,
            example="booking",
        ),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of bookings, newest first."""
    asked, account, gone = typed(visit, "number"), text_of(visit, "account"), text_of(visit, "gone")
    if gone not in {"", "yes"}:
        raise unacceptable("gone", "is yes or left out")
    number = number_of(visit, asked)
    errors = {"number": wrong_number(visit, asked)} if asked and number is None else {}
    shown: dict[str, Any] = {"number": asked, "account": account, "gone": gone, "errors": errors}
    if errors:
        return shown | {"bookings": [], "next": None}
    found = await visit.services.reads.newest_bookings(
        number=number,
        account=account or None,
        gone=bool(gone),
        before_id=place_of(visit, BOOKING_ID),
        limit=PAGE + 1,
    )
    bookings, more_after = page_of(found.records, found.goes_on_after, lambda each: each.owned.booking.id)
    return shown | {"bookings": [_row(each, visit) for each in bookings], "next": more_after}


def _row(seen: SeenBooking, visit: Visit) -> dict[str, Any]:
    row = booking_row(seen.owned, seen.now(visit.now), visit.deps.policy)
    booking = seen.owned.booking
    hidden = " ".join(masked(number) for number in (booking.destination, booking.partner) if number)
    return row | {"destination": hidden, "bySandbox": is_simulated(booking.service)}


async def seen_booking(visit: Visit) -> SeenBooking:
    """Returns the booking that the path names. Raises NotFound."""
    seen = await visit.services.reads.seen_booking(BookingId(visit.request.match_info["id"]))
    if seen is None:
        raise NotFound("there is no such booking")
    return seen


async def load_one(visit: Visit) -> Mapping[str, Any]:
    """Returns a booking, what it was granted, and its newest calls. Raises NotFound."""
    seen, reads = await seen_booking(visit), visit.services.reads
    booking = seen.owned.booking
    record = booking_record(seen.owned, seen.now(visit.now), visit.deps.policy)
    wanted = WantedRecords(booking.account_id, booking_id=booking.id)
    calls = await record_page(reads, wanted, None, SHOWN_CALLS)
    grants = await reads.grants_of(booking.id, SHOWN_GRANTS)
    return {
        "booking": record
        | {"destination": masked(booking.destination), "partner": booking.partner and masked(booking.partner)},
        "labels": [masked_text(label) for label in (booking.destination_label, booking.partner_label)],
        "sandbox": sandbox_data(seen.clock_ahead_ms, visit.now) if is_simulated(booking.service) else None,
        "callsForgotten": seen.calls_forgotten,
        "isGone": record["status"] == BookingStatus.GONE.value,
        "grants": [grant_row(each) for each in grants],
        "calls": [record_row(each.cdr) for each in calls.records],
        "metadata": metadata_text(record["metadata"]),
        "plans": [(plan.value, plan.value.lower()) for plan in UsagePlan],
        "callerIds": [(shown, text) for shown, text in CALLER_IDS.items()],
        "texts": form_texts(seen, visit),
        "hasBegun": booking.begins_at <= seen.now(visit.now),
        **call_choices(),
    }


def form_texts(seen: SeenBooking, visit: Visit) -> dict[str, str]:
    """Returns the texts of the fields about calls."""
    body = BookingBody.of(seen.owned.booking, seen.now(visit.now), visit.deps.policy)
    return texts_of(body.model_dump(mode="json"))


def metadata_text(metadata: Mapping[str, str]) -> str:
    """Returns metadata as a form has it: one `key=value` on each line."""
    return "\n".join(f"{key}={value}" for key, value in metadata.items())
