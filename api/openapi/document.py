"""Puts the document together."""

from collections.abc import Sequence
from importlib.metadata import version

from api.http.routes import Route
from api.openapi import components
from api.openapi.components import Json
from api.openapi.operations import operation_of
from api.openapi.refusals import OF_NONE, problem_examples, refusals
from api.openapi.webhooks import EVENTS, webhooks

DESCRIPTION = """\
Book a temporary number for a hidden one; whoever dials it is bridged, and the hidden number is never shown.

Every `GET` can be asked as `HEAD`. Every refusal is a problem document (RFC 9457): decide by its `code`. Beyond those
of the operations there is 404 `not_found` for any other path, and 405 `method_not_allowed`, with `Allow`, for any other
method. Nothing unknown is taken, neither fields nor parameters; answers may get more fields. Times are RFC 3339, in
UTC."""

HEADERS: Json = {
    "RetryAfter": {
        "description": "Seconds after which the same request may succeed.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WwwAuthenticate": {
        "description": "How to say who you are: `Bearer`.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
    "Allow": {
        "description": "The methods that the path has.",
        "required": True,
        "schema": {"type": "string", "examples": ["GET,HEAD,POST"]},
    },
    "Replayed": {
        "description": "The first answer to a request that was sent again.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit": {
        "description": "What is left of the account's quota: `r` requests may be sent at once, in `t` seconds it is "
        "whole again if none is. With every answer to a request that came with a valid key.",
        "schema": {"type": "string", "pattern": '^"requests";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimitPolicy": {
        "description": "The account's quota: `q` requests in `w` seconds.",
        "schema": {"type": "string", "pattern": '^"requests";q=[0-9]+;w=[0-9]+$'},
    },
    "NextPage": {
        "description": 'The next page, as `</bookings?…&cursor=…>; rel="next"`. Not on the last page.',
        "schema": {"type": "string", "pattern": '^</[^>]+>; rel="next"$'},
    },
}

API_KEY: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of an account, `rn_live_…`, or `rn_test_…` for its test world, whose answers have the header "
    "`RentedNumbers-World: test`. An account sees only what is its own.",
}


def build(routes: Sequence[Route]) -> Json:
    """The same at every start with the same routes and the same version."""
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
        "tags": [{"name": tag} for tag in dict.fromkeys(route.operation.tag for route in routes)]
        + [{"name": "Callbacks"}],
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
