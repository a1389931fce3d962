"""Builds the document."""

from collections.abc import Sequence
from importlib.metadata import version

from api.http.routes import Route
from api.openapi import components
from api.openapi.components import Json
from api.openapi.operations import operation_of
from api.openapi.refusals import OF_NONE, problem_examples, refusals
from api.openapi.webhooks import EVENTS, webhooks

DESCRIPTION = """\
Book a temporary number in front of a hidden one. Callers who dial the temporary number are connected to the hidden
number and never see it.

Every `GET` also works as `HEAD`. Every error is a problem document (RFC 9457); programs should use its `code`. A
problem with a body names everything that is wrong in `errors`. Unknown paths get 404 `not_found`, and other methods
get 405 `method_not_allowed` with `Allow`. Every answer has an `X-Request-Id`: the request's own if that has 1 to 64
letters, digits, `.`, `_` or `-`, else a new one. The operator finds it in the log if the request failed. Requests
with unknown fields or parameters are refused. Answers may get more fields in the future. Times are RFC 3339, in
UTC."""

HEADERS: Json = {
    "RetryAfter": {
        "description": "Seconds after which the same request may succeed.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WwwAuthenticate": {
        "description": "How to authenticate: `Bearer`.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
    "Allow": {
        "description": "The methods that the path supports.",
        "required": True,
        "schema": {"type": "string", "examples": ["GET,HEAD,POST"]},
    },
    "Replayed": {
        "description": "`true`: the request was repeated with its `Idempotency-Key`, and this is the first answer.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit": {
        "description": "The rest of the account's rate limit: `r` more requests may be sent now. If none is sent, the "
        "whole quota is available in `t` seconds. Every answer to a request with a valid key has this header.",
        "schema": {"type": "string", "pattern": '^"requests";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimitPolicy": {
        "description": "The account's rate limit: `q` requests in `w` seconds.",
        "schema": {"type": "string", "pattern": '^"requests";q=[0-9]+;w=[0-9]+$'},
    },
    "NextPage": {
        "description": 'The next page: `</bookings?…&cursor=…>; rel="next"`. The last page has no such header.',
        "schema": {"type": "string", "pattern": '^</[^>]+>; rel="next"$'},
    },
}

API_KEY: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key: `rn_live_…` for the account, or `rn_test_…` for its sandbox. Answers from the sandbox "
    "have the header `RentedNumbers-World: test`. An account sees only its own data.",
}


# Generated clients name their modules after tags. So the sandbox's tag keeps its old name.
TAGS = {
    "Bookings": "Book a number, see, renew, change and cancel bookings.",
    "Blocked callers": "Refuse single callers of a booking.",
    "Call records": "All calls to your numbers, as pages or as a whole.",
    "Usage": "What calls have used, by day and booking.",
    "Plans and numbers": "What can be booked.",
    "Delivery of callbacks": "See which callbacks were delivered, and send them again.",
    "Test worlds": "The sandbox: simulate calls and move the clock, without telephones and without waiting.",
    "Portal": "Pages for people at `/portal`: links that sign people in.",
    "Account": "See your account and choose optional callbacks.",
    "Operation": "The state and the description of the service.",
    "Callbacks": "Requests that this service sends to your URLs.",
}


def build(routes: Sequence[Route]) -> Json:
    """Returns the document. The same routes and version always give the same document."""
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation_of(route, routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rented numbers",
            "version": version("rented-numbers"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}],
        "tags": [{"name": tag, "description": TAGS[tag]} for tag in _tags(routes)],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "schemas": components.schemas(routes, [body for body, _ in EVENTS.values()]),
            "responses": {
                code: refusal for code in sorted(OF_NONE) for refusal in refusals([code], counted=False).values()
            },
            "headers": HEADERS,
            "examples": problem_examples(),
            "securitySchemes": {"apiKey": API_KEY},
        },
    }


def _tags(routes: Sequence[Route]) -> list[str]:
    return [*dict.fromkeys(route.operation.tag for route in routes), "Callbacks"]
