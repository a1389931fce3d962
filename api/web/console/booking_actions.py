"""What an operator does to a booking: change, swap, renew, adjust, pause, delete. The API's bodies check the forms."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.http.parsing import checked_body
from api.http.problems import ProblemError, pointer_to
from api.resources.bookings import changes_of
from api.schemas.booking_requests import BookingChange, BookingPatchBody
from api.schemas.common import FieldError
from api.schemas.operator_rows import booking_record
from api.web.console.bookings import bookings_pages, form_texts, metadata_text, seen_booking
from api.web.console.confirming import check_sure
from api.web.frame.booking_form import CALL_FIELDS, TRUTH, body_of, changed_texts
from api.web.frame.site import Action, Outcome, Visit
from engine.bookings import lifecycle
from engine.bookings.adjustments import Adjustment
from engine.bookings.lifecycle import BookingPatch, Renewal
from engine.bookings.swapping import swap_number
from engine.control.requests import EndCalls
from engine.domain.errors import InvalidInput
from engine.domain.masking import HIDDEN
from engine.domain.times import rfc3339
from engine.domain.web_access import Role
from engine.runtime.ids import new_id
from engine.storage.console_reads import SeenBooking

LIMITS = ("maxConcurrentCalls", "maxCallsPerCallerPerHour", "maxCallSeconds")
CHANGED = frozenset(
    {"destination", "callback", "label", "metadata", "callerId", "refuseAnonymous", *LIMITS, *CALL_FIELDS}
)
_WHOLE = re.compile(r"[+-]?[0-9]{1,10}")


def booking_actions() -> tuple[Action, ...]:
    """Returns what the page of a booking can do."""
    _, one = bookings_pages()
    operator, adjusted = Role.OPERATOR, {"seconds", "calls", "reason"}
    change_command = "bookings change {id} --max-call-seconds …"
    return (
        one.action("change", "Change", "BookingChanged", operator, change, command=change_command, optional=CHANGED),
        one.action(
            "renew", "Renew", "BookingRenewed", operator, renew, {"usagePlan"}, command="bookings renew {id} --plan …"
        ),
        one.action("adjust", "Adjust", "BookingAdjusted", operator, adjust, adjusted, command="bookings adjust {id}"),
        one.action(
            "pause",
            "Pause or resume",
            "BookingPaused",
            operator,
            pause,
            {"paused"},
            command="bookings change {id} --paused",
        ),
        one.action(
            "swap-number",
            "Swap number",
            "BookingNumberSwapped",
            operator,
            swap,
            {"sure"},
            command="bookings swap-number {id}",
        ),
        one.action("delete", "Delete", "BookingDeleted", operator, delete, {"sure"}, command="bookings delete {id}"),
    )


async def change(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Changes the fields that differ from what the page showed, where texts are masked."""
    seen = await seen_booking(visit)
    body = checked_body(visit.request, BookingPatchBody, _changed(form, _shown(seen, visit)))
    return await _change(visit, seen, BookingPatch(**changes_of(body)), "Changed.")


async def pause(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Refuses calls, or takes them again."""
    body = checked_body(visit.request, BookingPatchBody, {"paused": TRUTH.get(form["paused"], form["paused"])})
    done = "Paused: new calls are refused." if body.paused else "Resumed: calls are taken again."
    outcome = await _change(visit, await seen_booking(visit), BookingPatch(paused=body.paused), done)
    return outcome if body.paused else replace(outcome, event="BookingResumed")


async def _change(visit: Visit, seen: SeenBooking, patch: BookingPatch, done: str) -> Outcome:
    if patch == BookingPatch():
        raise InvalidInput(["nothing to change: the booking is like that already"])
    booking, policy = seen.owned.booking, visit.deps.policy
    await visit.deps.run(lifecycle.change, booking.account_id, booking.id, patch, seen.now(visit.now), policy)
    visit.deps.renewed(booking.id)
    return Outcome(done, {"id": booking.id}, subject=booking.id)


async def renew(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Adds a plan."""
    body = checked_body(visit.request, BookingChange, dict(form))
    seen = await seen_booking(visit)
    booking, renewal = seen.owned.booking, Renewal(usage_plan=body.usage_plan)
    renewed = await visit.deps.run(
        lifecycle.renew, booking.account_id, booking.id, renewal, seen.now(visit.now), visit.deps.policy
    )
    visit.deps.renewed(booking.id)
    until = rfc3339(renewed.end_at)
    return Outcome(f"Renewed until {until[:10]}.", {"id": booking.id, "endTime": until}, subject=booking.id)


async def adjust(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Adds seconds or calls, or takes some away."""
    booking_id = (await seen_booking(visit)).owned.booking.id
    seconds, calls = (_whole(form, name) for name in ("seconds", "calls"))
    grant = await visit.services.operator.adjust(
        Adjustment(new_id("grt"), booking_id, seconds, calls, form["reason"].strip())
    )
    rest = "" if (grant.seconds, grant.calls) == (seconds, calls) else " The others are spent, or held by calls."
    message = f"Adjusted by {grant.seconds:+} seconds and {grant.calls:+} calls.{rest}"
    return Outcome(message, {"seconds": grant.seconds, "calls": grant.calls}, subject=booking_id)


async def swap(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Gives a booking another number."""
    check_sure(form)
    seen = await seen_booking(visit)
    booking = seen.owned.booking
    swapped = await visit.deps.run(swap_number, booking.account_id, booking.id, seen.now(visit.now), visit.deps.policy)
    message = f"The number is now {swapped.service}; {booking.service} is in quarantine."
    return Outcome(message, {"id": booking.id, "service": swapped.service}, subject=booking.id)


async def delete(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Ends a booking and its live calls for good."""
    check_sure(form)
    seen = await seen_booking(visit)
    booking = seen.owned.booking
    live = await visit.deps.run(
        lifecycle.cancel, booking.account_id, booking.id, seen.now(visit.now), visit.deps.policy
    )
    left = (await visit.services.operator.end_calls(EndCalls(booking.id))).unreached if live else 0
    rest = f" Calls that end as soon as the engine reaches Asterisk: {left}." if left else ""
    return Outcome(f"Deleted for good.{rest}", {"id": booking.id, "callsEnded": len(live) - left}, subject=booking.id)


def _shown(seen: SeenBooking, visit: Visit) -> dict[str, str]:
    """Returns the fields of the form as the page shows them."""
    record = booking_record(seen.owned, seen.now(visit.now), visit.deps.policy)
    shown = {name: "" if record.get(name) is None else str(record[name]) for name in CHANGED}
    return shown | form_texts(seen, visit) | {"destination": "", "metadata": metadata_text(record["metadata"])}


def _changed(form: Mapping[str, str], shown: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body of the change. Raises ProblemError for a text that still has a mask."""
    sent = changed_texts(form, shown)
    masked = [name for name, value in sent.items() if HIDDEN in value]
    if masked:
        message = "has a masked number in it: write the number out, or leave the field as it was"
        errors = tuple(FieldError(field=name, message=message, pointer=pointer_to((name,))) for name in masked)
        raise ProblemError("invalid_request", "See `errors` for everything that is wrong with the body.", errors)
    own = {name: _value_of(name, sent[name]) for name in sent.keys() & {"metadata", *LIMITS}}
    return body_of(sent, shown) | own


def _value_of(name: str, text: str) -> Any:  # noqa: ANN401  a JSON value
    """Returns the JSON value that a field's text stands for, or else the text, which the body then refuses."""
    if name in LIMITS:
        return None if not text else int(text) if text.isdecimal() and len(text) < 10 else text
    pairs = [line.partition("=") for line in text.split("\n") if line.strip()]
    is_readable = all(sign for _, sign, _ in pairs)
    return {key.strip(): value.strip() for key, _, value in pairs} if is_readable else text


def _whole(form: Mapping[str, str], name: str) -> int:
    text = form[name].strip() or "0"
    if not _WHOLE.fullmatch(text):
        raise InvalidInput([f"--{name} must be a whole number"])
    return int(text)
