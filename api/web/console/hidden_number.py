"""Reveals one hidden number, and records in the security log which session did so, and for which id."""

import re
from collections.abc import Mapping

from markupsafe import Markup

from api.web.frame.protection import PageRefused
from api.web.frame.site import Action, Outcome, Visit
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.web_access import Role
from engine.storage.console_reads import ConsoleReads

SHOWN = Markup('<span class="hidden-number number">{number}</span>')
# The ids that the security log accepts.
_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")


def hidden_number_action() -> Action:
    """Returns the action."""
    return Action(
        "/hidden-number",
        "Show a hidden number",
        "HiddenNumberShown",
        Role.OPERATOR,
        show_hidden_number,
        fields=frozenset({"kind", "id"}),
        page="/live",
    )


async def show_hidden_number(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Returns a hidden number of a booking, a call or a call record. Raises NotFound."""
    if not _ID.fullmatch(form["id"]):
        raise NotFound("there is no such id")
    number = await hidden_number_of(visit.services.reads, form["kind"], form["id"])
    if number is None:
        raise NotFound(f"there is no such {form['kind']}")
    html = SHOWN.format(number=number)
    return Outcome("The hidden number is shown.", {"destination": number}, html=html, subject=form["id"])


async def hidden_number_of(reads: ConsoleReads, kind: str, named: str) -> E164 | None:
    """Returns the hidden number; None if there is no such thing. Raises PageRefused."""
    match kind:
        case "booking":
            booking = await reads.booking(BookingId(named))
            return booking.destination if booking else None
        case "partner":
            booking = await reads.booking(BookingId(named))
            return booking.partner if booking else None
        case "call":
            call = await reads.call(CallId(named))
            return call.destination if call else None
        case "record":
            record = await reads.record_named(named)
            return record.destination if record else None
        case _:
            raise PageRefused(422, "The form is not valid", "`kind` must be booking, partner, call or record.")
