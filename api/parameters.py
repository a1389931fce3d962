"""Query parameters: known names, once each, written in one way only."""

import re
from collections import Counter

from aiohttp import web

from api.problems import ProblemError, safe_name
from api.routes import ROUTES_BY_HANDLER, Handler, Route
from api.schemas import FieldError
from engine.domain.numbers import ANONYMOUS, caller_of, is_caller

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


def with_plus(text: str) -> str:
    """A number whose + was not percent-encoded: it has become a space on the way."""
    return f"+{text[1:]}" if text.startswith(" ") else text


def unacceptable(name: str, message: str) -> ProblemError:
    name = safe_name(name)
    return ProblemError("invalid_parameter", f"{name} {message}.", (FieldError(field=name, message=message),))
