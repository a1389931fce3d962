"""/bookings/{id}/explain: what would happen to a call, and why."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, timestamp_of
from api.http.parsing import caller_from
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, TAG, id_of
from api.schemas.explanations import ExplanationBody
from engine.bookings.explain import explain


async def show(request: web.Request) -> web.Response:
    """Explains a call. It runs as a command, like calls, and so sees what a call would see now."""
    deps = request.app[DEPENDENCIES]
    source = caller_from(request, "source")
    explanation = await deps.run(
        explain, request[ACCOUNT_ID], id_of(request), source, timestamp_of(request), deps.policy, deps.dead_trunks()
    )
    return json_answer(ExplanationBody.of(explanation, deps.policy))


ROUTES = (
    Route(
        "GET",
        "/bookings/{id}/explain",
        show,
        Operation(
            "explainCall",
            TAG,
            "Explain what would happen to a call now",
            answers={200: ExplanationBody},
            problems=("gone",),
            detail="The code that decides about real calls decides this too. The request changes nothing: it is not "
            "recorded as a call and does not count as one.",
        ),
        parameters=frozenset({"source"}),
        placeholders=ONE,
    ),
)
