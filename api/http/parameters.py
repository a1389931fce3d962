"""Query parameters: known names, once each, written in one way only."""

import re
from collections import Counter

from aiohttp import web

from api.http.problems import ProblemError, safe_name
from api.http.routes import ROUTES_BY_HANDLER, Handler, Route
from api.schemas.common import FieldError
from api.schemas.fields import BOOKING_ID
from engine.domain.ids import BookingId
from engine.domain.numbers import ANONYMOUS, E164, caller_of, is_caller
from engine.domain.times import NO_INSTANT, EpochMs, instant_from

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
# Parameters that are objects, each pair of theirs given as `name[key]=value` (OpenAPI calls it deepObject).
OBJECTS = frozenset({"metadata"})
# `[0-9]`: `int` would also take other scripts' digits, signs, spaces and underscores.
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


@web.middleware
async def check_parameters(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A misspelt parameter that is silently ignored gives the wrong page, and nobody notices."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if route is not None:
        # By pairs: the keys of a MultiDict come once each.
        for name, times in Counter(name for name, _ in request.query.items()).items():
            if not _is_known(name, route):
                raise unacceptable(name, "is not a parameter here")
            if times > 1:
                raise unacceptable(name.partition("[")[0], "may be given once")
    return await handler(request)


def _is_known(name: str, route: Route) -> bool:
    base, bracket, key = name.partition("[")
    is_object = base in OBJECTS and bool(bracket) and key.endswith("]")
    return base in route.parameters and (is_object if base in OBJECTS else base == name)


def pairs_of(request: web.Request, name: str) -> dict[str, str]:
    """What is given as `name[key]=value`, for one of OBJECTS."""
    return {key[len(name) + 1 : -1]: value for key, value in request.query.items() if key.startswith(f"{name}[")}


def limit_of(request: web.Request) -> int:
    """Records on a page, 1 to MAX_LIMIT. Raises ProblemError."""
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if _WHOLE_NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise unacceptable("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return limit


def flag_of(request: web.Request, name: str) -> bool:
    """False when it is not given. Raises ProblemError for anything but `true` and `false`."""
    match request.query.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case _:
            raise unacceptable(name, "must be true or false")


def caller_from(request: web.Request, name: str) -> str:
    """The anonymous caller when it is not given. Raises ProblemError."""
    text = with_plus(request.query.get(name, ANONYMOUS))
    if not is_caller(text):
        raise unacceptable(name, "must be a telephone number, such as +3225551234, or anonymous")
    return caller_of(text)


def span_of(request: web.Request, earliest: int, latest: int) -> tuple[int, int]:
    """Epoch milliseconds: not before `from`, and before `to`; the given ones where they are left out.

    Raises ProblemError.
    """
    first, end = _instant(request, "from"), _instant(request, "to")
    if first is not None and end is not None and first > end:
        raise unacceptable("from", "must not be later than to")
    return earliest if first is None else first, latest if end is None else end


def _instant(request: web.Request, name: str) -> EpochMs | None:
    text = request.query.get(name)
    if text is None:
        return None
    # The + of an offset that was not percent-encoded has become a space on the way.
    instant = instant_from(text.replace(" ", "+"))
    if instant is None:
        raise unacceptable(name, NO_INSTANT)
    return instant


def booking_id_of(request: web.Request) -> BookingId | None:
    """The filter. Another account's, or an unknown one, finds nothing: what is filtered outlives bookings.

    Raises ProblemError.
    """
    text = request.query.get("bookingId")
    if text is not None and not BOOKING_ID.fullmatch(text):
        raise unacceptable("bookingId", "must be a booking's id, such as bkg_01a206bf7ae277579d190ae0d5b05f1a")
    return None if text is None else BookingId(text)


def with_plus(text: str) -> E164:
    """A number whose + was not percent-encoded: it has become a space on the way."""
    return E164(f"+{text[1:]}" if text.startswith(" ") else text)


def unacceptable(name: str, message: str) -> ProblemError:
    name = safe_name(name)
    return ProblemError("invalid_parameter", f"{name} {message}.", (FieldError(field=name, message=message),))
