"""Loaded by schemathesis in its own process: values that no schema can tell, put where one that fits was made up.

Which numbers exist is known to numbering plans, where a page begins and which keys stand for a request to the server.
What was made up to be wrong is sent as it is.
"""

import os
import random
import uuid
from collections.abc import Mapping
from typing import Any

import schemathesis

from api.http.idempotency import HEADER
from api.http.paging import CallListing, Listing
from api.resources import blocked_callers, booking_filters, bookings, callback_endpoints, callbacks, cdrs
from engine.domain.times import instant_from
from engine.storage.cdrs import CdrPosition
from engine.storage.filters import LATEST

DESTINATIONS = ("+33199007000", "+32470123456", "+442079460958")
CALLBACKS = ("https://customer.example/calls", "https://hooks.customer.example:8443/a?b=c%20d")
INSTANTS = ("2026-03-01T00:00:00Z", "2026-03-01T12:00:00.5+01:00", "9999-12-31T23:59:59Z")
CURSORS = (callbacks.REDELIVERIES.cursor_after("1772366400000:evt_" + "0" * 32),)
TIMES = {"from": INSTANTS, "to": INSTANTS}
# Of numbers that are free; the API's tests give some of them away.
NUMBERS = {
    "service": tuple(f"+331990{last:05}" for last in range(2_000, 6_000)),
    "prefix": ("+3319900", "+331"),
    "country": ("FR",),
}
EXISTING = {"destination": DESTINATIONS, "callback": CALLBACKS, "cursor": CURSORS, **TIMES, **NUMBERS}
# Each with the place of a record that would stand before all others.
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
    _put(case.query, TIMES)
    _put_in_order(case.query)
    if isinstance(case.body, dict):
        _put_in_order(case.body)
    if case.operation.path.startswith("/test/"):
        case.headers["Authorization"] = f"Bearer {os.environ['SCHEMATHESIS_TEST_KEY']}"
        if isinstance(case.body, dict) and "advance" in case.body:
            # A year at each request, and it would soon be as far ahead as it may.
            case.body["advance"] = random.randrange(1, 3_600)
    if HEADER in case.headers:
        case.headers[HEADER] = uuid.uuid4().hex
    _put_in_query(case)


def _put_in_query(case: schemathesis.Case[Any]) -> None:
    if case.operation.path == "/bookings" and random.random() < 0.5:
        # Made-up conditions find nothing, and of nothing no other request can be asked about.
        for name in booking_filters.PARAMETERS & set(case.query):
            del case.query[name]
    if "cursor" in case.query:
        match LISTINGS[case.operation.path]:
            case (Listing() as listing, str(record_id)):
                case.query["cursor"] = listing.cursor_after(record_id)
            case (CallListing() as listing, CdrPosition() as place):
                case.query["cursor"] = listing.cursor_after(place)


def _put_in_order(made_up: dict[str, Any]) -> None:
    """What begins before it ends: no description can say so."""
    if made_up.get("from") and made_up.get("to"):
        ends = sorted((made_up["from"], made_up["to"]), key=lambda text: instant_from(text) or 0)
        made_up["from"], made_up["to"] = ends


def _put(made_up: dict[str, Any], existing: Mapping[str, tuple[str, ...]]) -> None:
    """What is left out, or `null`, stays so."""
    for field in existing.keys() & made_up.keys():
        if made_up[field] is not None:
            made_up[field] = random.choice(existing[field])
