"""Why: would a call to this number, from this caller, be put through now, and why did calls fail?"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from api.schemas.explanations import ExplanationBody
from api.schemas.fields import BOOKING_ID
from api.web.console.calls import newest_calls
from api.web.console.lists import caller_named, number_of, typed, wrong_number
from api.web.frame.site import Page, Visit
from engine.bookings.explain import explain
from engine.domain.booking import Booking
from engine.domain.errors import BookingGone
from engine.domain.explanation import Explanation
from engine.domain.ids import BookingId
from engine.domain.numbers import ANONYMOUS, E164, NumberState, is_simulated
from engine.domain.policy import Policy
from engine.domain.times import Timestamp, rfc3339
from engine.domain.web_access import Role
from engine.storage.numbers import Number
from engine.storage.transaction import Transaction

PATH = "/why"
SHOWN_CALLS = 20
# A caller of such a number gets the same answer as for a number that does not exist.
WITHOUT_BOOKING: Mapping[str, str] = {
    NumberState.FREE: "No booking holds this number: it is free. Callers get SIP 404, and there is no record.",
    NumberState.QUARANTINED: (
        "No booking holds this number: it is in quarantine, so that late callers do not reach the next customer. "
        "Callers get SIP 404, and there is no record."
    ),
    NumberState.RETIRED: "This number is retired: it is no longer rented out, and no call to it is put through.",
    NumberState.SHARED: (
        "Pairs share this number. Their participants reach each other, as does a caller with a participant's PIN. "
        "All others get SIP 404, and there is no record. "
        "Look for the pair by the id of its booking."
    ),
    NumberState.BOOKED: "This number is marked as booked, but no booking holds it. `doctor` says what to do.",
}
NOT_OURS = (
    "This is not one of the rented numbers, so calls to it do not come here. Below are the calls from it, if any."
)
SIMULATED = "This is a simulated number, and no booking of a sandbox holds it."
GONE = "This booking is gone for good: it was deleted, or it expired and its grace period is over."


class Found(NamedTuple):
    """What is known about a number or a booking: the booking, the decision on a call to it, the number in the pool."""

    booking: Booking | None
    explanation: Explanation | None
    number: Number | None


def why_page() -> Page:
    """Returns the page."""
    return Page(
        PATH,
        "Why",
        Role.VIEWER,
        "console/why.html",
        load,
        command="explain {number} --source {caller}",
        parameters=frozenset({"number", "caller"}),
    )


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the answer, and the newest calls from and to the number; without a question, those that failed."""
    asked, caller = typed(visit, "number"), typed(visit, "caller")
    named = BookingId(asked) if BOOKING_ID.fullmatch(asked) else number_of(visit, asked)
    source = caller_named(visit, caller or ANONYMOUS)
    errors = {"number": wrong_number(visit, asked, ", or the id of a booking")} if asked and named is None else {}
    errors |= {} if source else {"caller": wrong_number(visit, caller, ", or anonymous")}
    shown: dict[str, Any] = {"number": asked, "caller": caller, "errors": errors, "answer": None, "explanation": None}
    shown |= {"bookingId": None, "down": _down(visit), "calls": []}
    if errors:
        return shown
    if named is None:
        return shown | {"calls": await newest_calls(visit, party=None, failed=True, limit=SHOWN_CALLS)}
    found = await visit.deps.run(find, named, str(source), visit.at, visit.deps.policy, visit.deps.dead_trunks())
    explanation = found.explanation and ExplanationBody.of(found.explanation, visit.deps.policy).model_dump(mode="json")
    service = found.booking.service if found.booking else named
    return shown | {
        "answer": explanation["message"] if explanation else _without_booking(named, found),
        "explanation": explanation,
        "bookingId": found.booking and found.booking.id,
        "bySandbox": is_simulated(service),
        "calls": await newest_calls(visit, party=service, failed=False, limit=SHOWN_CALLS),
    }


def find(tx: Transaction, named: str, source: str, at: Timestamp, policy: Policy, dead_trunks: frozenset[str]) -> Found:
    """Finds the booking with this id, or that holds this number, and explains a call to it. It writes nothing."""
    by_id = BOOKING_ID.fullmatch(named)
    booking = tx.bookings.by_id(BookingId(named)) if by_id else tx.bookings.holding(E164(named))
    number = tx.numbers.by_number(booking.service if booking else E164(named))
    if booking is None:
        return Found(None, None, number)
    at = tx.sandboxes.timestamp(booking.account_id, at)
    try:
        return Found(booking, explain(tx, booking.account_id, booking.id, source, at, policy, dead_trunks), number)
    except BookingGone:
        return Found(booking, None, number)


def _without_booking(named: str, found: Found) -> str:
    if found.booking is not None:
        return GONE
    if found.number is not None:
        until = found.number.quarantined_until
        ends = f" The quarantine ends at {rfc3339(until)}." if until and found.number.state == "QUARANTINED" else ""
        return WITHOUT_BOOKING[found.number.state] + ends
    return SIMULATED if is_simulated(named) else NOT_OURS


def _down(visit: Visit) -> list[str]:
    """Returns the parts without which no call is put through now, whatever the booking permits."""
    return [part for part, state in visit.deps.health().items() if state != "up"]
