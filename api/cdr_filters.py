"""Which call records are asked for, by query parameters: the same for lists and exports."""

from aiohttp import web

from api.dependencies import ACCOUNT_ID
from api.fields import BOOKING_ID
from api.parameters import caller_from, unacceptable, with_plus
from engine.domain.numbers import is_e164
from engine.domain.routing import Disposition
from engine.domain.times import instant_from
from engine.storage.record_rows import EARLIEST, LATEST, WantedRecords

OF_BOOKING = frozenset({"from", "to", "source", "disposition"})
OF_ALL = OF_BOOKING | {"service", "bookingId"}


def wanted_records(request: web.Request) -> WantedRecords:
    """Of the account that asks. Raises ProblemError."""
    since, until = _instant(request, "from"), _instant(request, "to")
    if since is not None and until is not None and since > until:
        raise unacceptable("from", "must not be later than to")
    return WantedRecords(
        request[ACCOUNT_ID],
        since=EARLIEST if since is None else since,
        until=LATEST if until is None else until,
        booking_id=_booking_id(request),
        service=_service(request),
        source=caller_from(request, "source") if "source" in request.query else None,
        disposition=_disposition(request),
    )


def _instant(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    # The + of an offset that was not percent-encoded has become a space on the way.
    instant = instant_from(text.replace(" ", "+"))
    if instant is None:
        raise unacceptable(name, "must be an instant of RFC 3339, such as 2026-03-01T12:00:00Z")
    return instant


def _booking_id(request: web.Request) -> str | None:
    """Another account's, or an unknown one, finds nothing: records outlive bookings."""
    text = request.query.get("bookingId")
    if text is not None and not BOOKING_ID.fullmatch(text):
        raise unacceptable("bookingId", "must be a booking's id, such as bkg_01a206bf7ae277579d190ae0d5b05f1a")
    return text


def _service(request: web.Request) -> str | None:
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
