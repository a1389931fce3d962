"""Reads what a request asks: its JSON body and its query parameters, both checked before a handler sees them.

A body is checked in this order: media type, size, time, UTF-8, JSON; then, all together, its schema and the rules that
need no database. The standard library's JSON parser is used because pydantic's keeps the last of two equal keys, and
we must not guess which of two destinations a client meant.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from aiohttp import hdrs, web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.http.dependencies import DEPENDENCIES
from api.http.problems import CODE_OF_FIELD, PROBLEMS, ProblemError, pointer_to, safe_name
from api.http.routes import ROUTES_BY_HANDLER, Handler, Route
from api.schemas.common import Conflict, FieldError, Incoming
from api.schemas.fields import BOOKING_ID, BodyRules
from engine.domain.ids import BookingId
from engine.domain.number_plan import caller_of, is_caller
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.times import NO_INSTANT, EpochMs, instant_from
from engine.domain.trunks import typed_plan

M = TypeVar("M", bound=Incoming)

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
# Parameters that are objects. Each of their pairs is given as `name[key]=value` (OpenAPI calls it deepObject).
OBJECTS = frozenset({"metadata"})
# `[0-9]`: `int` would also accept other scripts' digits, signs, spaces and underscores.
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


async def read_body(request: web.Request, model: type[M], *, is_cursor: Callable[[str], bool] | None = None) -> M:
    """Reads and checks the request's JSON body.

    Args:
        request: The request.
        model: What the body must be.
        is_cursor: Whether the list that the request is about has made a cursor; for bodies with a `cursor`.

    Raises:
        ProblemError: The body is refused. The problem names everything that is wrong with it.
        HTTPRequestEntityTooLarge: A body without a Content-Length turned out to be too large.
    """
    _check_media_type(request)
    document = _parse(await read_bytes(request))
    return checked_body(request, model, document, is_cursor=is_cursor)


def checked_body(
    request: web.Request, model: type[M], document: object, *, is_cursor: Callable[[str], bool] | None = None
) -> M:
    """Checks a body that is read already.

    Raises:
        ProblemError: The body is refused. The problem names everything that is wrong with it.
    """
    deps = request.app[DEPENDENCIES]
    wrong: list[ErrorDetails] = []
    body: M | None = None
    try:
        rules = BodyRules(deps.policy.destinations, deps.check_callback, is_cursor)
        body = model.model_validate(document, context=rules)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
    conflict = model.conflict_in(document) if isinstance(document, dict) else None
    if body is None or conflict is not None:
        raise _validation_problem(wrong, conflict)
    return body


def _check_media_type(request: web.Request) -> None:
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise ProblemError("unsupported_media_type", "Send the body as application/json, in UTF-8.")
    # A few compressed bytes can stand for gigabytes, and our bodies are too small to gain from compression.
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ProblemError("unsupported_media_type", "Send the body uncompressed.")


async def read_bytes(request: web.Request) -> bytes:
    """Reads the request's body, within the limits of its size and time. Raises as `read_body` does."""
    limits = request.app[DEPENDENCIES].limits
    if (request.content_length or 0) > limits.body_bytes:
        raise ProblemError("too_large", f"The body may have up to {limits.body_bytes} bytes.")
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await request.read()
    except TimeoutError:
        raise ProblemError("request_timeout", f"The body must arrive within {limits.body_seconds:g} s.") from None
    except web.RequestPayloadError:
        raise ProblemError("malformed_request", "The body is not valid HTTP.") from None


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode(), object_pairs_hook=_no_equal_keys, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ProblemError("malformed_request", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: line {error.lineno}, column {error.colno}."
        raise ProblemError("malformed_request", detail) from None
    except ValueError:  # a whole number with thousands of digits
        raise ProblemError("malformed_request", "The body has a number that is too long.") from None
    except RecursionError:
        raise ProblemError("malformed_request", "The body is nested too deeply.") from None


def _no_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ProblemError("malformed_request", "The body has an object with two equal keys.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ProblemError("malformed_request", f"The body has {name}, which is not JSON.")


def _validation_problem(wrong: list[ErrorDetails], conflict: Conflict | None) -> ProblemError:
    """The problem that names everything that is wrong with a body.

    If only one field is wrong, the problem has that field's code, or the code of the rule that the field breaks. If
    several are wrong, or one is missing or unknown, the code is `invalid_request`.

    Args:
        wrong: What pydantic found, in the order of the fields. Its messages never repeat what was sent.
        conflict: What is wrong between fields; None if nothing is.
    """
    errors = [_field_error(each) for each in wrong]
    if conflict is not None:
        place = (conflict.field,) if conflict.field else ()
        errors.append(FieldError(field=conflict.field, message=conflict.message, pointer=pointer_to(place)))
    [field, *other_fields] = dict.fromkeys(error.field for error in errors)
    kinds = {each["type"] for each in wrong}
    if wrong and not other_fields and not kinds & {"missing", "extra_forbidden"}:
        if wrong[0]["type"] in PROBLEMS:
            return ProblemError(wrong[0]["type"], errors[0].message, tuple(errors))
        if field in CODE_OF_FIELD:
            return ProblemError(CODE_OF_FIELD[field], f"{field}: {errors[0].message}", tuple(errors))
    return ProblemError("invalid_request", "See `errors` for everything that is wrong with the body.", tuple(errors))


def _field_error(found: ErrorDetails) -> FieldError:
    place = found["loc"]
    message = "is not a field here" if found["type"] == "extra_forbidden" else found["msg"]
    return FieldError(field=safe_name(place[0]) if place else "", message=message, pointer=pointer_to(place))


@web.middleware
async def check_parameters(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses unknown and repeated query parameters: a misspelt filter must not silently give another page."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if route is not None:
        # Counted by pairs: the keys of a MultiDict come once each.
        counts = Counter(name for name, _ in request.query.items())
        wrong = [
            FieldError(field=safe_name(name), message="is not a parameter here")
            if not _is_known(name, route)
            else FieldError(field=safe_name(name.partition("[")[0]), message="may be given once")
            for name, times in counts.items()
            if times > 1 or not _is_known(name, route)
        ]
        if wrong:
            raise _parameter_problem(wrong)
    return await handler(request)


def _is_known(name: str, route: Route) -> bool:
    base, bracket, key = name.partition("[")
    is_object = base in OBJECTS and bool(bracket) and key.endswith("]")
    return base in route.parameters and (is_object if base in OBJECTS else base == name)


def pairs_of(request: web.Request, name: str) -> dict[str, str]:
    """The pairs of an object parameter, given as `name[key]=value`."""
    return {key[len(name) + 1 : -1]: value for key, value in request.query.items() if key.startswith(f"{name}[")}


def limit_of(request: web.Request) -> int:
    """The number of records on a page, 1 to MAX_LIMIT. Raises ProblemError."""
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if _WHOLE_NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise unacceptable("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return limit


def flag_of(request: web.Request, name: str) -> bool:
    """A boolean parameter; False if it is not given. Raises ProblemError unless it is `true` or `false`."""
    match request.query.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case _:
            raise unacceptable(name, "must be true or false")


def caller_from(request: web.Request, name: str) -> str:
    """A caller's number, also as the carriers' country dials it; the anonymous caller if it is not given.

    Raises:
        ProblemError: It is no number.
    """
    text = with_plus(request.query.get(name, ANONYMOUS))
    if not is_caller(text):
        raise unacceptable(name, "must be a telephone number, such as +3225551234, or anonymous")
    return caller_of(text, typed_plan(request.app[DEPENDENCIES].policy.trunks))


def span_of(request: web.Request, earliest: int, latest: int) -> tuple[int, int]:
    """The time span from `from` (included) to `to` (excluded), in epoch milliseconds.

    Args:
        request: The request.
        earliest: Used where `from` is left out.
        latest: Used where `to` is left out.

    Raises:
        ProblemError: One of them is not an instant, or `from` is later than `to`.
    """
    first, end = _instant(request, "from"), _instant(request, "to")
    if first is not None and end is not None and first > end:
        raise unacceptable("from", "must not be later than to")
    return earliest if first is None else first, latest if end is None else end


def _instant(request: web.Request, name: str) -> EpochMs | None:
    text = request.query.get(name)
    if text is None:
        return None
    # The + of an offset that was not percent-encoded arrives as a space.
    instant = instant_from(text.replace(" ", "+"))
    if instant is None:
        raise unacceptable(name, NO_INSTANT)
    return instant


def booking_id_of(request: web.Request) -> BookingId | None:
    """The filter `bookingId`; None if it is not given. Raises ProblemError for what is not an id.

    An unknown booking, or another account's, is not refused: it matches nothing. Records outlive their bookings.
    """
    text = request.query.get("bookingId")
    if text is not None and not BOOKING_ID.fullmatch(text):
        raise unacceptable("bookingId", "must be a booking's id, such as bkg_01a206bf7ae277579d190ae0d5b05f1a")
    return None if text is None else BookingId(text)


def with_plus(text: str) -> E164:
    """A number with its +, which arrives as a space if it was not percent-encoded."""
    return E164(f"+{text[1:]}" if text.startswith(" ") else text)


def unacceptable(name: str, message: str) -> ProblemError:
    """The refusal of the query parameter `name`; `message` goes on after the name."""
    return _parameter_problem([FieldError(field=safe_name(name), message=message)])


def _parameter_problem(wrong: list[FieldError]) -> ProblemError:
    return ProblemError("invalid_parameter", f"{wrong[0].field} {wrong[0].message}.", tuple(wrong))
