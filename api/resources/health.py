"""/health: whether every part that a call needs is up. It is public and shows only names and states."""

import asyncio

import structlog
from aiohttp import web

from api.http.dependencies import DEPENDENCIES
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Outgoing


class HealthBody(Outgoing):
    """Whether the system works."""

    status: str
    """`up` if every part is up."""
    parts: dict[str, str]
    """The state of each part: `up`, or what it is instead. Empty if the states are not known in time."""


log = structlog.get_logger(__name__)

UP = "up"
DOWN = "down"


async def show(request: web.Request) -> web.Response:
    """Answers 200 if every part is up. 503 if a part is down, or if the states are not known in time."""
    deps = request.app[DEPENDENCIES]
    try:
        async with asyncio.timeout(deps.limits.health_seconds):
            parts = await deps.health()
    except Exception as error:
        # A failed check is an answer too. Without a traceback, which would be logged every few seconds.
        log.warning("health_check_failed", error=type(error).__name__)
        return json_answer(HealthBody(status=DOWN, parts={}), status=503)
    is_up = all(state == UP for state in parts.values())
    return json_answer(HealthBody(status=UP if is_up else DOWN, parts=parts), status=200 if is_up else 503)


ROUTES = (
    Route(
        "GET",
        "/health",
        show,
        Operation(
            "getHealth",
            "Operation",
            "Check whether every part is up",
            answers={200: HealthBody, 503: HealthBody},
        ),
        public=True,
    ),
)
