"""/health and /ready: whether the process works, and whether every part that a call needs is up.

Both are public, show only names and states, and cause no work: the engine tries its parts by itself. Whoever restarts
processes asks /health. It answers 200 as long as the process does, because a restart mends neither a full disk nor an
Asterisk that is away, and would cost the calls that ring. Whoever sends calls or requests asks /ready.
"""

from aiohttp import web

from api.http.dependencies import DEPENDENCIES
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Outgoing
from engine.domain.times import rfc3339


class HealthBody(Outgoing):
    """Whether the system works."""

    status: str
    """`up` if every part is up, else `down`."""
    parts: dict[str, str]
    """The state of each part: `up`, or what it is instead. The database is read and written every few seconds."""
    last_commit: str | None
    """When the database was last written. Null: not since the start."""
    trunks: dict[str, str]
    """The state of each trunk: `up`, `down` (its carrier does not answer), `missing` (Asterisk does not know it) or
    `unknown`. It has no effect on `status`: without a trunk the API works, and calls are refused at once."""


UP = "up"
DOWN = "down"


async def show(request: web.Request) -> web.Response:
    """Answers 200, whatever the states of the parts."""
    return json_answer(_body(request), status=200)


async def show_readiness(request: web.Request) -> web.Response:
    """Answers 200 if every part is up, else 503."""
    body = _body(request)
    return json_answer(body, status=200 if body.status == UP else 503)


def _body(request: web.Request) -> HealthBody:
    deps = request.app[DEPENDENCIES]
    parts, last_commit = deps.health(), deps.last_commit()
    return HealthBody(
        status=UP if all(state == UP for state in parts.values()) else DOWN,
        parts=parts,
        last_commit=None if last_commit is None else rfc3339(last_commit),
        trunks=dict(deps.trunks()),
    )


ROUTES = (
    Route(
        "GET",
        "/health",
        show,
        Operation(
            "getHealth",
            "Operation",
            "Check whether the process works",
            answers={200: HealthBody},
            detail="The status is 200 as long as the engine answers, whatever the states of its parts.",
        ),
        public=True,
    ),
    Route(
        "GET",
        "/ready",
        show_readiness,
        Operation(
            "getReadiness",
            "Operation",
            "Check whether calls and requests can be handled",
            answers={200: HealthBody, 503: HealthBody},
            detail="The status is 503 if a part is not up.",
        ),
        public=True,
    ),
)
