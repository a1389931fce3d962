"""/bookings/{id}/explain: what would become of a call, and why."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, timestamp_of
from api.http.parsing import caller_from
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, TAG, id_of
from api.schemas.explanations import ExplanationBody
from engine.bookings.explain import explain


async def show(request: web.Request) -> web.Response:
    """Asked of the storage thread, beside the calls: so it sees what a call would see at that moment."""
    deps = request.app[DEPENDENCIES]
    source = caller_from(request, "source")
    explanation = await deps.run(
        explain, request[ACCOUNT_ID], id_of(request), source, timestamp_of(request), deps.policy
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
            "Explain what would become of a call now",
            answers={200: ExplanationBody},
            problems=("gone",),
            detail="Decided by the same code as a call. Asking changes nothing: no call is recorded, none counts.",
        ),
        parameters=frozenset({"source"}),
        placeholders=ONE,
    ),
)
