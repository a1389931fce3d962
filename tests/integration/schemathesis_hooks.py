"""Loaded by schemathesis in its own process: values that no schema can tell, put where one that fits was made up.

Which numbers exist is known to numbering plans, and where a page begins to the server. What was made up to be wrong is
sent as it is.
"""

import random
from typing import Any

import schemathesis

from api import blocked_callers, bookings, cdrs
from api.paging import Listing

DESTINATIONS = ("+33199007000", "+32470123456", "+442079460958")
CALLBACKS = ("https://customer.example/calls", "https://hooks.customer.example:8443/a?b=c%20d")
LISTINGS: dict[str, tuple[Listing, str]] = {
    "/bookings": (bookings.LISTING, "bkg_01a206bf7ae277579d190ae0d5b05f1a"),
    "/cdr": (cdrs.LISTING, "cdr_01a206bf8c1d7a1190a6f0f2b7a1c9d3"),
    blocked_callers.PATH: (blocked_callers.LISTING, "+33199007001"),
}


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        for field, existing in (("destination", DESTINATIONS), ("callback", CALLBACKS)):
            if field in case.body:
                case.body[field] = random.choice(existing)
    if "cursor" in case.query:
        listing, record_id = LISTINGS[case.operation.path]
        case.query["cursor"] = listing.cursor_after(record_id)
