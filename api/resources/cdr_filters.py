"""Reads the filters of call records from the query: the same for lists and exports."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID
from api.http.parsing import booking_id_of, caller_from, span_of, unacceptable, with_plus
from engine.domain.dispositions import Disposition
from engine.domain.numbers import E164, is_e164
from engine.domain.times import EpochMs
from engine.storage.cdrs import WantedRecords
from engine.storage.filters import EARLIEST, LATEST

OF_BOOKING = frozenset({"from", "to", "source", "disposition"})
OF_ALL = OF_BOOKING | {"service", "bookingId"}


def wanted_records(request: web.Request) -> WantedRecords:
    """Returns the filter, within the account of the request. Raises ProblemError for an invalid parameter."""
    since, until = span_of(request, EARLIEST, LATEST)
    return WantedRecords(
        request[ACCOUNT_ID],
        since=EpochMs(since),
        until=EpochMs(until),
        booking_id=booking_id_of(request),
        service=_service(request),
        source=caller_from(request, "source") if "source" in request.query else None,
        disposition=_disposition(request),
    )


def _service(request: web.Request) -> E164 | None:
    text = request.query.get("service")
    if text is None:
        return None
    number = with_plus(text)
    if not is_e164(number):
        raise unacceptable("service", "must be an E.164 number, such as +3225550000")
    return number


def _disposition(request: web.Request) -> Disposition | None:
    text = request.query.get("disposition")
    try:
        return None if text is None else Disposition(text)
    except ValueError:
        raise unacceptable("disposition", f"must be one of {', '.join(Disposition)}") from None
