"""One line of the route table as an operation of the document."""

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
from api.schemas.fields import BOOKING_ID, CALLER, CURSOR, LABEL, VALUE, whole
from engine.domain import notes
from engine.domain.numbers import ANONYMOUS, E164_PATTERN
from engine.domain.policy import UsagePlan
from engine.domain.retry import CallbackState
from engine.domain.routing import Disposition
from engine.storage.filters import MAX_PAIRS

JSON = "application/json"


def _instant(description: str, example: str) -> Json:
    return {"description": description, "schema": {"type": "string", "format": "date-time", "examples": [example]}}


# What the query parameters are, by name: the same on all routes. Their examples stand in their schemas, and an object
# has a default: else the page to try things out fills them in, asks with them all, and finds nothing.
PARAMETERS: Mapping[str, Json] = {
    "includeExpired": {
        "description": "`true`: also those that are expired and can still be revived.",
        "schema": {"type": "boolean", "default": False},
    },
    "status": {
        "description": "Only those, whatever `includeExpired` says.",
        "schema": {"type": "string", "enum": ["ACTIVE", "EXPIRED"]},
    },
    "destination": {
        "description": "Only those that hide this number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+32470123456"]},
    },
    "usagePlan": {
        "description": "Only those whose plan, the one booked last, is this.",
        "schema": {"type": "string", "enum": list(UsagePlan)},
    },
    "service": {
        "description": "Only the one that has this rented number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+3225550000"]},
    },
    "label": {
        "description": "Only those with this very label.",
        "schema": {"type": "string", "pattern": whole(LABEL), "minLength": 1, "maxLength": notes.MAX_LABEL},
    },
    "metadata": {
        "description": "Only those with all of these pairs: `metadata[order]=1871`.",
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
        "description": "Records on a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    "cursor": {
        "description": "Where the page begins: `nextCursor` of the page before, as it is.",
        "schema": {"type": "string", "pattern": whole(CURSOR)},
    },
    "source": {
        "description": f"The caller's number. Left out, or `{ANONYMOUS}`: a caller who withholds it.",
        "schema": {
            "type": "string",
            "pattern": whole(CALLER),
            "default": ANONYMOUS,
            "examples": ["+14155550123", ANONYMOUS],
        },
    },
    # Of callbacks, where left out means all.
    "state": {
        "description": "Only callbacks in this state.",
        "schema": {"type": "string", "enum": list(CallbackState)},
    },
    "bookingId": {
        "description": "Only callbacks about this booking, which may be gone.",
        "schema": {"type": "string", "pattern": whole(BOOKING_ID)},
    },
    "from": _instant("Only callbacks that were put down at this instant or later.", "2026-03-01T00:00:00Z"),
    "to": _instant("Only callbacks that were put down before this instant.", "2026-04-01T00:00:00Z"),
}
# Of call records, where left out means all.
RECORD_FILTERS: Mapping[str, Json] = {
    "from": _instant("Only calls that came in at this instant or later.", "2026-03-01T00:00:00Z"),
    "to": _instant("Only calls that came in before this instant.", "2026-04-01T00:00:00Z"),
    "service": {
        "description": "Only calls to this rented number.",
        "schema": {"type": "string", "pattern": whole(E164_PATTERN), "examples": ["+3225550000"]},
    },
    "source": {
        "description": f"Only calls of this caller; `{ANONYMOUS}`: of those who withheld their number.",
        "schema": {"type": "string", "pattern": whole(CALLER), "examples": ["+14155550123", ANONYMOUS]},
    },
    "disposition": {
        "description": "Only calls that ended so.",
        "schema": {"type": "string", "enum": list(Disposition)},
    },
    "bookingId": {
        "description": "Only calls to this booking, which may be gone.",
        "schema": {"type": "string", "pattern": whole(BOOKING_ID)},
    },
}
IDEMPOTENCY_KEY: Json = {
    "name": HEADER,
    "in": "header",
    "description": "Any text that is new for each thing you want. A request that is sent again with its key within 24 "
    "hours is not carried out again, and gets the first answer.",
    "schema": {"type": "string", "pattern": whole(KEY), "examples": ["5f0c2a9e-order-1871"]},
}
PLACEHOLDERS: Mapping[str, str] = {
    "id": "As the answer that made it known has it.",
    "caller": "A blocked caller's number, its `+` as `%2B`.",
}


def operation_of(route: Route, routes: Iterable[Route]) -> Json:
    """`routes`: all, to link to those that deal with what this one creates."""
    said = route.operation
    operation: Json = {"operationId": said.id, "tags": [said.tag], "summary": said.summary}
    if said.detail:
        operation["description"] = said.detail
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
    # In the table's order, so that the document is the same at every start.
    known = {**PARAMETERS, **RECORD_FILTERS} if "disposition" in route.parameters else PARAMETERS
    queries = [{"name": name, "in": "query", **told} for name, told in known.items() if name in route.parameters]
    return placeholders + headers + queries


def _responses(route: Route, routes: Iterable[Route]) -> Json:
    responses: Json = {}
    for status, body in route.operation.answers.items():
        responses[str(status)] = _answer(route, status, body)
        if links := _links(route, status, routes):
            responses[str(status)]["links"] = links
    for status, refusal in refusals(codes_of(route), counted=not route.public).items():
        answer = responses.setdefault(str(status), refusal)
        if answer is not refusal:  # a status that both an answer and a problem may have
            answer["content"] |= refusal["content"]
            answer["description"] += "\n" + refusal["description"]
    return dict(sorted(responses.items()))


def _answer(route: Route, status: int, body: type[BaseModel] | None) -> Json:
    answer: Json = {"description": HTTPStatus(status).phrase}
    headers: Json = {} if route.public else dict(QUOTA_HEADERS)
    if route.operation.streams:
        kind = route.operation.streams
        answer["content"] = {kind: {"schema": {"type": "string"}, "example": STREAMED[kind]}}
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
        "description": f"Where it is: `{route.operation.creates}`.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }


def _links(route: Route, status: int, routes: Iterable[Route]) -> Json:
    """To what can be done with what was created, or with the first record of a page."""
    if status == HTTPStatus.CREATED:
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
