"""/calls/{id}/trace: what happened to a call, step by step."""

import re

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.cdrs import TAG
from api.schemas.traces import TraceBody
from engine.calls.reports import CALL_ID
from engine.cdr.trace import NO_CALL, CallTrace, trace_call
from engine.domain.errors import NotFound

PATH = "/calls/{id}/trace"
# The id of a call record has this form as well.
NAMED = re.compile(CALL_ID)


async def show(request: web.Request) -> web.Response:
    """Answers with the trace of one of the account's calls."""
    return json_answer(TraceBody.of(await trace_of(request)))


async def trace_of(request: web.Request) -> CallTrace:
    """Returns the trace of one of the account's calls, which the path names. Raises NotFound."""
    deps, named = request.app[DEPENDENCIES], request.match_info["id"]
    if not NAMED.fullmatch(named):
        raise NotFound(NO_CALL)
    return await trace_call(deps.reads, named, deps.policy, request[ACCOUNT_ID])


ROUTES = (
    Route(
        "GET",
        PATH,
        show,
        Operation(
            "traceCall",
            TAG,
            "See what happened to a call, step by step",
            answers={200: TraceBody},
            detail="`id` is the id of the call record. As long as a call is up it has none: then it is the id of the "
            "call, as the operator sees it.",
        ),
        placeholders={"id": NAMED},
        # It scans the callbacks that the account had during the call.
        counts=True,
    ),
)
