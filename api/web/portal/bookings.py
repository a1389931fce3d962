"""Bookings: the list, the page of one, its number to print, and the actions that change it."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from api.http.dependencies import SANDBOX, now_of
from api.http.idempotency import kept
from api.http.parsing import checked_body
from api.http.problems import ProblemError, problem_of
from api.resources import bookings as resource
from api.resources.booking_pictures import qr_code
from api.resources.catalogue import PlanBody
from api.schemas.booking_requests import BookingChange, BookingPatchBody, NewBooking
from api.schemas.bookings import BookingBody
from api.schemas.fields import BOOKING_ID
from api.web.frame.booking_form import CALL_FIELDS, NOT_OF_PAIRS, body_of, call_choices, changed_texts, texts_of
from api.web.frame.protection import PageRefused
from api.web.frame.site import Action, Outcome, Page, Visit
from api.web.portal.entry import account_of, answer_of, id_of
from engine.accounts.idempotency import KeyedRequest, once
from engine.bookings.lifecycle import Renewal, book, renew
from engine.bookings.swapping import swap_number
from engine.domain.errors import Refusal
from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.screening import Screening
from engine.domain.times import rfc3339
from engine.domain.web_access import Role
from engine.runtime.ids import new_id
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction

PATH = "/bookings"
ONE = f"{PATH}/{{id}}"
ID = {"id": BOOKING_ID}
REFRESH_SECONDS = 10
# What the forms may say; the API takes more.
OWN_FIELDS = frozenset({"label", "destination", "callback"})
CHANGED = OWN_FIELDS | CALL_FIELDS | {"paused"}
# What the form of a new booking shows before anything is filled in.
NEW_BOOKING: Mapping[str, str] = {
    **dict.fromkeys(OWN_FIELDS | CALL_FIELDS | {"country"}, ""),
    **dict.fromkeys(("whisper", "greeting", "beep", "reverse", "acceptFormerCallers"), "no"),
    "screening": Screening.NONE,
}
# The same of a pair.
NEW_PAIR = {name: text for name, text in NEW_BOOKING.items() if name not in NOT_OF_PAIRS | {"destination"}} | {
    "firstLabel": "",
    "secondLabel": "",
    "pins": "no",
}
# Which field of a pair's form shows a problem with a place in the body. A problem with the whole body: both numbers are
# the same. A problem with both participants: no carrier asserts who calls, so that they need PINs.
FIELD_AT = {
    f"/participants/{index}/{name}": f"{person}{name.title()}"
    for index, person in enumerate(("first", "second"))
    for name in ("number", "label")
} | {"": "secondNumber", "/participants": "pins"}


def booking_pages() -> tuple[Page, ...]:
    """Returns the pages."""
    viewer = Role.CUSTOMER_VIEWER
    return (
        Page(
            "",
            "Bookings",
            viewer,
            "portal/bookings.html",
            load_list,
            api="/bookings",
            parameters=frozenset({"cursor", "includeExpired"}),
        ),
        Page(
            ONE,
            "Booking",
            viewer,
            "portal/booking.html",
            load_one,
            api=ONE,
            placeholders=ID,
            in_menu=False,
            refresh_seconds=REFRESH_SECONDS,
            example="booking",
        ),
        Page(
            f"{ONE}/print",
            "Number to print",
            viewer,
            "portal/print.html",
            load_print,
            api=f"{ONE}/qr",
            placeholders=ID,
            in_menu=False,
            example="booking",
        ),
    )


def booking_actions() -> tuple[Action, ...]:
    """Returns what can be done to a booking."""
    full, [listed, one, _] = Role.CUSTOMER, booking_pages()
    renewed, sure = frozenset({"id", "usagePlan", "key"}), frozenset({"id", "sure"})
    swapped, booked = sure | {"key"}, {"callback", "usagePlan", "key"}
    single, pair = booked | {"destination"}, booked | {"firstNumber", "secondNumber"}
    return (
        listed.action("book", "Book", "BookingCreated", full, book_number, single, optional=NEW_BOOKING),
        listed.action("book-pair", "Book for two", "BookingCreated", full, book_pair, pair, optional=NEW_PAIR),
        one.action("change", "Change", "BookingChanged", full, change_booking, optional=CHANGED),
        Action(f"{PATH}/renew", "Renew", "BookingRenewed", full, renew_booking, renewed),
        Action(f"{PATH}/swap-number", "Swap", "BookingNumberSwapped", full, swap_booking_number, swapped),
        Action(f"{PATH}/cancel", "Cancel", "BookingDeleted", full, cancel_booking, sure),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of bookings, as `GET /bookings` answers it, and what a new one may choose.

    It offers pairs where one can be made: they need shared numbers, and a carrier that asserts who calls, or PINs.
    """
    policy = visit.deps.policy
    has_pairs = SANDBOX in visit.request or (
        (policy.may_assert_callers or policy.speaks) and await visit.services.reads.has_shared_numbers()
    )
    texts = {**NEW_BOOKING, "language": policy.language}
    return {**await answer_of(visit, resource.index), **_choices(visit), "texts": texts, "hasPairs": has_pairs}


async def load_one(visit: Visit) -> Mapping[str, Any]:
    """Returns a booking, as `GET /bookings/{id}` answers it, and what can be chosen for it."""
    booking = await answer_of(visit, resource.show)
    return {
        "booking": booking,
        "texts": texts_of(booking),
        "hasBegun": booking["startTime"] <= rfc3339(now_of(visit.request)),
        **_choices(visit),
    }


def _choices(visit: Visit) -> dict[str, Any]:
    """Returns the plans, what else forms may choose, and a key with which a form is carried out once."""
    plans = visit.deps.policy.plans
    return {
        "plans": [PlanBody.of(plan, plans[plan]).model_dump(mode="json") for plan in UsagePlan],
        "prices": {plan: str(gives.price) for plan, gives in plans.items() if gives.price is not None},
        "key": new_id("req"),
        **call_choices(),
    }


async def load_print(visit: Visit) -> Mapping[str, Any]:
    """Returns a booking and its number as a picture."""
    booking = await answer_of(visit, resource.show)
    picture = base64.b64encode(qr_code(E164(booking["service"]), "svg")).decode()
    return {"booking": booking, "picture": f"data:image/svg+xml;base64,{picture}"}


async def book_number(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Books a number. A form that is sent twice books one."""
    return await _book(visit, form, _wanted(visit, form))


async def book_pair(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Books a number that two people share. A form that is sent twice books one."""
    sent = _wanted(visit, form)
    people = [
        {name: text for name in ("number", "label") if (text := sent.pop(f"{person}{name.title()}", None)) is not None}
        for person in ("first", "second")
    ]
    try:
        return await _book(visit, form, {**sent, "participants": people})
    except (Refusal, ProblemError) as error:
        problem = problem_of(error)
        errors = tuple(
            each.model_copy(update={"field": FIELD_AT.get(each.pointer or "", each.field)}) for each in problem.errors
        )
        raise ProblemError(problem.code, problem.detail, errors, retry_after=problem.retry_after) from None


def _wanted(visit: Visit, form: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body of a new booking that the filled in fields of a form stand for. Raises ProblemError."""
    sent = {name: text for name, text in changed_texts(form, dict.fromkeys(form, "")).items() if name != "key"}
    return body_of(sent, {**NEW_BOOKING, "language": visit.deps.policy.language})


async def _book(visit: Visit, form: Mapping[str, str], wish: dict[str, Any]) -> Outcome:
    body = checked_body(visit.request, NewBooking, wish)
    wanted = resource.wanted_booking(account_of(visit), body)
    policy, now = visit.deps.policy, now_of(visit.request)

    def book_it(tx: Transaction) -> KeptAnswer:
        return kept(BookingBody.of(book(tx, wanted, now, policy), now, policy), status=201)

    shown = await _once(visit, form, f"book {body.model_dump_json()}", book_it)
    return Outcome(f"Booked: the number is {shown['service']}.", {"booking": shown}, subject=shown["id"])


async def renew_booking(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Adds a plan. A form that is sent twice adds it once."""
    account_id, booking_id = account_of(visit), BookingId(id_of(form, BOOKING_ID, "booking"))
    deps, now = visit.deps, now_of(visit.request)
    body = checked_body(visit.request, BookingChange, {"usagePlan": form["usagePlan"]})

    def add_plan(tx: Transaction) -> KeptAnswer:
        booking = renew(tx, account_id, booking_id, Renewal(usage_plan=body.usage_plan), now, deps.policy)
        return kept(BookingBody.of(booking, now, deps.policy), status=200)

    shown = await _once(visit, form, f"{booking_id} {body.usage_plan}", add_plan)
    deps.renewed(booking_id)
    return Outcome(f"Renewed until {shown['endTime'][:10]}.", {"booking": shown}, subject=booking_id)


async def swap_booking_number(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Gives a booking another number. A form that is sent twice swaps once."""
    _check_sure(form)
    account_id, booking_id = account_of(visit), BookingId(id_of(form, BOOKING_ID, "booking"))
    policy, now = visit.deps.policy, now_of(visit.request)

    def swap(tx: Transaction) -> KeptAnswer:
        return kept(BookingBody.of(swap_number(tx, account_id, booking_id, now, policy), now, policy), status=200)

    shown = await _once(visit, form, f"{booking_id} swap-number", swap)
    return Outcome(f"The number is now {shown['service']}.", {"booking": shown}, subject=booking_id)


async def _once(
    visit: Visit, form: Mapping[str, str], meaning: str, carry_out: Callable[[Transaction], KeptAnswer]
) -> dict[str, Any]:
    """Carries out what a form asks for, once for each time that its page was opened. Returns the booking."""
    key, digest = (hashlib.sha256(text.encode()).hexdigest() for text in (form["key"], meaning))
    keyed = KeyedRequest(account_of(visit), f"portal-{key}", digest)
    answer, _ = await visit.deps.run(once, keyed, visit.now, carry_out, visit.deps.policy.account_limits)
    shown: dict[str, Any] = json.loads(answer.body)
    return shown


async def change_booking(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Changes the fields that differ from what the page showed. An empty label removes the label."""
    booking = await answer_of(visit, resource.show)
    shown = texts_of(booking) | {name: booking[name] or "" for name in OWN_FIELDS}
    body = checked_body(visit.request, BookingPatchBody, body_of(changed_texts(form, shown), shown))
    if not body.model_fields_set:
        raise PageRefused(422, "Nothing to change", "The booking is like that already.")
    booking_id = BookingId(booking["id"])
    changed = await resource.change_booking(visit.request, booking_id, body)
    return Outcome("Changed.", {"booking": changed.model_dump(mode="json")}, subject=booking_id)


async def cancel_booking(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Deletes a booking for good."""
    _check_sure(form)
    booking_id = BookingId(id_of(form, BOOKING_ID, "booking"))
    await resource.cancel_booking(visit.request, booking_id)
    return Outcome(
        "Cancelled. Its number stays in quarantine for a while, then others can rent it.", subject=booking_id
    )


def _check_sure(form: Mapping[str, str]) -> None:
    if form["sure"] != "yes":
        raise PageRefused(422, "The form is not complete", "Tick the box: this cannot be undone.")
