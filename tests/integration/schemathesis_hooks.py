"""Loaded by schemathesis in its own process: values that no schema can describe, put where one that fits was made up.

Which numbers exist is known to numbering plans, where a page begins to the server. What is made up to be wrong is sent
as it is.
"""

import random
from typing import Any

import schemathesis

from api.bookings import LISTING as BOOKINGS
from api.cdrs import LISTING as CDRS

DESTINATIONS = ("+33199007000", "+32470123456", "+442079460958", "+14155552671")
CALLBACKS = ("https://customer.example/calls", "https://hooks.customer.example:8443/a?b=c%20d")
LISTINGS = {"/bookings": BOOKINGS, "/cdr": CDRS}


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        for field, choice in (("destination", DESTINATIONS), ("callback", CALLBACKS)):
            if field in case.body:
                case.body[field] = random.choice(choice)
    if "cursor" in (case.query or {}):
        listing = LISTINGS[case.operation.path]
        record_id = listing.name[:3].replace("boo", "bkg").replace("cdr", "cdr") + "_" + random.randbytes(16).hex()
        case.query["cursor"] = listing.cursor_after(record_id)
