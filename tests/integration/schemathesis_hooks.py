"""Hooks for schemathesis, which loads them in its own process. They put existing values into generated requests.

No schema can say which telephone numbers exist, which cursors are valid and which keys are new. Requests that are
generated to be wrong stay unchanged.
"""

import os
import random
import uuid
from collections.abc import Mapping
from typing import Any

import schemathesis

from api.http.idempotency import HEADER
from api.http.paging import CallListing, Listing
from api.resources import blocked_callers, booking_filters, bookings, callback_endpoints, callbacks, cdrs, traces
from engine.domain.times import instant_from
from engine.storage.cdrs import CdrPosition
from engine.storage.filters import LATEST

DESTINATIONS = ("+33199007000", "+32470123456", "+442079460958")
CALLBACKS = ("https://customer.example/calls", "https://hooks.customer.example:8443/a?b=c%20d")
INSTANTS = ("2026-03-01T00:00:00Z", "2026-03-01T12:00:00.5+01:00", "9999-12-31T23:59:59Z")
# No schema can say that a booking begins within a year from the test's present.
BEGINNINGS = ("2026-03-02T00:00:00Z", "2026-11-30T12:00:00.5+01:00")
CURSORS = (callbacks.REDELIVERIES.cursor_after("1772366400000:evt_" + "0" * 32),)
TIME_ZONES = ("Europe/Brussels", "America/St_Johns", "UTC")
TIMES = {"from": INSTANTS, "to": INSTANTS}
# Values that match free numbers; the requests book some of them.
NUMBERS = {
    "service": tuple(f"+331990{last:05}" for last in range(2_000, 6_000)),
    "prefix": ("+3319900", "+331"),
    "country": ("FR", "any"),
    "area": ("1", "199"),
}
EXISTING = {
    "destination": DESTINATIONS,
    "callback": CALLBACKS,
    "url": CALLBACKS,
    "cursor": CURSORS,
    "startTime": BEGINNINGS,
    **TIMES,
    **NUMBERS,
}
# Each with a position before all records.
NEWEST_CALL = CdrPosition(LATEST, "cdr_" + "f" * 32)
LISTINGS: dict[str, tuple[Listing, str] | tuple[CallListing, CdrPosition]] = {
    "/bookings": (bookings.LISTING, "bkg_" + "f" * 32),
    "/cdr": (cdrs.LISTING, NEWEST_CALL),
    "/bookings/{id}/calls": (cdrs.OF_BOOKING_LISTING, NEWEST_CALL),
    "/callbacks": (callbacks.LISTING, "9999999999999:evt_" + "f" * 32),
    "/callbacks/endpoints": (callback_endpoints.LISTING, "cep_" + "f" * 32),
    blocked_callers.PATH: (blocked_callers.LISTING, "+1000000"),
}


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        _put(case.body, EXISTING)
        if "area" in case.body:
            case.body["country"] = "FR"
    _put(case.query, TIMES)
    _put_in_order(case.query)
    if isinstance(case.body, dict):
        _put_in_order(case.body)
        _put_hours_right(case.body.get("hours"))
        _put_participants(case.body)
    if case.operation.path == "/usage" and "from" in case.query:
        # No schema can say that the span has a longest length, or that without an end it ends now.
        case.query["from"], case.query["to"] = INSTANTS[:2]
    if case.operation.path == traces.PATH:
        # No list shows the id of a call, and that of its record is not linked to this path.
        case.path_parameters["id"] = "call-ours-3"
    if case.operation.path.startswith("/test/"):
        case.headers["Authorization"] = f"Bearer {os.environ['SCHEMATHESIS_TEST_KEY']}"
        if isinstance(case.body, dict) and "advance" in case.body:
            # With a year at each request the clock would soon reach its limit.
            case.body["advance"] = random.randrange(1, 3_600)
    if HEADER in case.headers:
        case.headers[HEADER] = uuid.uuid4().hex
    _put_in_query(case)


def _put_in_query(case: schemathesis.Case[Any]) -> None:
    if case.operation.path == "/bookings" and random.random() < 0.5:
        # Generated conditions match nothing, and later requests need ids from this list.
        for name in booking_filters.PARAMETERS & set(case.query):
            del case.query[name]
    if "cursor" in case.query:
        match LISTINGS[case.operation.path]:
            case (Listing() as listing, str(record_id)):
                case.query["cursor"] = listing.cursor_after(record_id)
            case (CallListing() as listing, CdrPosition() as place):
                case.query["cursor"] = listing.cursor_after(place)


def _put_in_order(made_up: dict[str, Any]) -> None:
    """Swap `from` and `to` if they are in the wrong order, which no schema can express."""
    if made_up.get("from") and made_up.get("to"):
        ends = sorted((made_up["from"], made_up["to"]), key=lambda text: instant_from(text) or 0)
        made_up["from"], made_up["to"] = ends


def _put_hours_right(made_up: Any) -> None:
    """Name a time zone, and swap the ends of a time that are in the wrong order. No schema can express either."""
    if made_up is None:
        return
    made_up["timeZone"] = random.choice(TIME_ZONES)
    for each in made_up["open"]:
        begin, end = sorted((each["from"], each["to"]))
        each["from"], each["to"] = (begin, end) if begin < end else ("00:00", "24:00")


def _put_participants(body: dict[str, Any]) -> None:
    """Put two people into a pair who have none yet, and leave it to the API which shared number they get."""
    for participant in body.get("participants", ()):
        participant["number"] = f"+3247{random.randrange(10**7):07}"
    if "participants" in body:
        for name in NUMBERS.keys() & body.keys():
            del body[name]


def _put(made_up: dict[str, Any], existing: Mapping[str, tuple[str, ...]]) -> None:
    """Replace values by existing ones. A missing field or a null stays."""
    for field in existing.keys() & made_up.keys():
        if made_up[field] is not None:
            made_up[field] = random.choice(existing[field])
