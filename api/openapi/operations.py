"""Describes a route as an operation of the document."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from aiohttp import hdrs
from pydantic import BaseModel

from api.http.idempotency import HEADER, KEY, REPLAYED
from api.http.parsing import DEFAULT_LIMIT, MAX_LIMIT
from api.http.routes import Route
from api.openapi.components import Json, ref, ref_to
from api.openapi.examples import STREAMED
from api.openapi.refusals import QUOTA_HEADERS, codes_of, refusals
from api.resources.usage import DEFAULT_DAYS
from api.schemas.fields import BOOKING_ID, CALLER, CURSOR, LABEL, VALUE, whole
from engine.domain import notes
from engine.domain.dispositions import Disposition
from engine.domain.numbers import ANONYMOUS, E164_PATTERN
from engine.domain.policy import UsagePlan
from engine.domain.retry import CallbackState
from engine.storage.filters import MAX_PAIRS

JSON = "application/json"


def _instant(description: str, example: str) -> Json:
    return {"description": description, "schema": {"type": "string", "format": "date-time", "examples": [example]}}


# The query parameters by name, the same on all routes. Their examples are in their schemas, and objects have a
# default: otherwise the interactive page fills in all examples, sends them all as filters, and finds nothing.
PARAMETERS: Mapping[str, Json] = {
    "includeExpired": {
        "description": "`true`: also expired bookings that can still be renewed.",
        "schema": {"type": "boolean", "default": False},
    },
    "status": {
        "description": "Only bookings with this status. `includeExpired` is then ignored.",
        "schema": {"type": "string", "enum": ["ACTIVE", "EXPIRED"]},
    },
    "destination": {
        "description": "Only bookings that hide this number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+32470123456"]},
    },
    "usagePlan": {
        "description": "Only bookings whose last plan is this one.",
        "schema": {"type": "string", "enum": list(UsagePlan)},
    },
    "service": {
        "description": "Only the booking that has this rented number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+3225550000"]},
    },
    "label": {
        "description": "Only bookings with exactly this label.",
        "schema": {"type": "string", "pattern": whole(LABEL), "minLength": 1, "maxLength": notes.MAX_LABEL},
    },
    "metadata": {
        "description": "Only bookings with all of these pairs: `metadata[order]=1871`.",
        "style": "deepObject",
        "explode": True,
        "schema": {
            "type": "object",
            "maxProperties": MAX_PAIRS,
            "propertyNames": {"pattern": whole(notes.KEY)},
            "additionalProperties": {"type": "string", "pattern": whole(VALUE), "maxLength": notes.MAX_VALUE},
            "default": {},
            "examples": [{"order": "1871"}],
        },
    },
    "limit": {
        "description": "The number of records on a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    "cursor": {
        "description": "The place where the page begins: `nextCursor` of the previous page, unchanged.",
        "schema": {"type": "string", "pattern": whole(CURSOR)},
    },
    "source": {
        "description": f"The caller's number. `{ANONYMOUS}`, or left out: a caller who withholds the number.",
        "schema": {
            "type": "string",
            "pattern": whole(CALLER),
            "default": ANONYMOUS,
            "examples": ["+14155550123", ANONYMOUS],
        },
    },
    # Filters of callbacks.
    "state": {
        "description": "Only callbacks in this state.",
        "schema": {"type": "string", "enum": list(CallbackState)},
    },
    "bookingId": {
        "description": "Only callbacks about this booking, which may be gone.",
        "schema": {"type": "string", "pattern": whole(BOOKING_ID)},
    },
    "format": {
        "description": "The kind of picture.",
        "schema": {"type": "string", "enum": ["svg", "png"], "default": "svg"},
    },
    "from": _instant("Only callbacks created at or after this time.", "2026-03-01T00:00:00Z"),
    "to": _instant("Only callbacks created before this time.", "2026-04-01T00:00:00Z"),
}
# Filters of call records.
RECORD_FILTERS: Mapping[str, Json] = {
    "from": _instant("Only calls that came in at or after this time.", "2026-03-01T00:00:00Z"),
    "to": _instant("Only calls that came in before this time.", "2026-04-01T00:00:00Z"),
    "service": {
        "description": "Only calls to this rented number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+3225550000"]},
    },
    "source": {
        "description": f"Only calls of this caller; `{ANONYMOUS}`: of callers who withheld their number.",
        "schema": {"type": "string", "pattern": whole(CALLER), "examples": ["+14155550123", ANONYMOUS]},
    },
    "disposition": {
        "description": "Only calls with this result.",
        "schema": {"type": "string", "enum": list(Disposition)},
    },
    "bookingId": {
        "description": "Only calls to this booking, which may be gone.",
        "schema": {"type": "string", "pattern": whole(BOOKING_ID)},
    },
}
# The span of a statement.
SPAN: Mapping[str, Json] = {
    "from": _instant(
        f"Calls that came in at or after this time; {DEFAULT_DAYS} days before `to` where it is left out.",
        "2026-03-01T00:00:00Z",
    ),
    "to": _instant("Calls that came in before this time; now where it is left out.", "2026-04-01T00:00:00Z"),
}
IDEMPOTENCY_KEY: Json = {
    "name": HEADER,
    "in": "header",
    "description": "Any text that is new for each intended operation. A request that is repeated with its key within "
    "24 hours is not carried out again and gets the first answer.",
    "schema": {"type": "string", "pattern": whole(KEY), "examples": ["5f0c2a9e-order-1871"]},
}
PLACEHOLDERS: Mapping[str, str] = {
    "id": "The id as an earlier answer has it.",
    "caller": "The blocked caller's number, with its `+` written as `%2B`.",
}


def operation_of(route: Route, routes: Iterable[Route]) -> Json:
    """Describes a route.

    Args:
        route: The route.
        routes: All routes, for links to those that use what this one creates.
    """
    about = route.operation
    operation: Json = {"operationId": about.id, "tags": [about.tag], "summary": about.summary}
    if about.detail:
        operation["description"] = about.detail
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": ref_to(route.body)}}}
    operation["responses"] = _responses(route, routes)
    if route.public:
        operation["security"] = []
    return operation


def _parameters(route: Route) -> list[Json]:
    placeholders = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PLACEHOLDERS[name],
            "schema": {"type": "string", "pattern": whole(pattern)},
        }
        for name, pattern in route.placeholders.items()
    ]
    headers = [IDEMPOTENCY_KEY] if route.keyed else []
    # In the order of the table: sets have no stable order, and the document must be the same at every start.
    known = {**PARAMETERS, **_special(route)}
    queries = [{"name": name, "in": "query", **details} for name, details in known.items() if name in route.parameters]
    return placeholders + headers + queries


def _special(route: Route) -> Mapping[str, Json]:
    """The parameters that mean something else on this route than on others."""
    if "disposition" in route.parameters:
        return RECORD_FILTERS
    return SPAN if route.parameters == SPAN.keys() else {}


def _responses(route: Route, routes: Iterable[Route]) -> Json:
    responses: Json = {}
    for status, body in route.operation.answers.items():
        responses[str(status)] = _answer(route, status, body)
        if links := _links(route, status, routes):
            responses[str(status)]["links"] = links
    for status, refusal in refusals(codes_of(route), counted=not route.public).items():
        answer = responses.setdefault(str(status), refusal)
        if answer is not refusal:  # both an answer and a problem have this status
            answer["content"] |= refusal["content"]
            answer["description"] += "\n" + refusal["description"]
    return dict(sorted(responses.items()))


def _answer(route: Route, status: int, body: type[BaseModel] | None) -> Json:
    answer: Json = {"description": HTTPStatus(status).phrase}
    headers: Json = {} if route.public else dict(QUOTA_HEADERS)
    if route.operation.streams:
        kind = route.operation.streams
        answer["content"] = {kind: {"schema": {"type": "string"}, "example": STREAMED[kind]}}
    if route.operation.pictures:
        answer["content"] = {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in route.operation.pictures
        }
    if body:
        answer["content"] = {JSON: {"schema": ref_to(body)}}
    if status == HTTPStatus.CREATED:
        headers[hdrs.LOCATION] = _location(route)
    if route.keyed:
        headers[REPLAYED] = ref("Replayed", "headers")
    if "cursor" in route.parameters:
        headers[hdrs.LINK] = ref("NextPage", "headers")
    if headers:
        answer["headers"] = headers
    return answer


def _location(route: Route) -> Json:
    return {
        "description": f"The path of what was created: `{route.operation.creates}`.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }


def _links(route: Route, status: int, routes: Iterable[Route]) -> Json:
    """Links to the operations on what was created, or on the first record of a page."""
    if status == HTTPStatus.CREATED and route.operation.creates:
        path, known_by = route.operation.creates, "$response.body#/"
    elif "cursor" in route.parameters:
        path, known_by = route.path + "/{", "$response.body#/data/0/"
    else:
        return {}
    links = {}
    for other in routes:
        new = [name for name in other.placeholders if name not in route.placeholders]
        if other.path.startswith(path) and len(new) == 1:
            known = {name: f"$request.path.{name}" for name in route.placeholders}
            links[other.operation.id] = {
                "operationId": other.operation.id,
                "parameters": known | {new[0]: known_by + new[0]},
            }
    return links
