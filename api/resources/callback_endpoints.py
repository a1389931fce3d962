"""/callbacks/endpoints: the URLs that callbacks went to, and those that get no more."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.http.paging import Listing, page_answer, page_request
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.callbacks import TAG
from api.schemas.callbacks import EndpointBody, EndpointPage
from api.schemas.fields import ENDPOINT_ID
from engine.callbacks import redelivery
from engine.domain.errors import NotFound

LISTING = Listing("callback-endpoints", ENDPOINT_ID)


async def index(request: web.Request) -> web.Response:
    """Newest first."""
    asked = page_request(request, LISTING)
    endpoints = await request.app[DEPENDENCIES].reads.endpoints(
        request[ACCOUNT_ID], before_id=asked.after_id, at_most=asked.read_limit
    )
    return page_answer(request, LISTING, asked, endpoints, EndpointBody.of)


async def enable(request: web.Request) -> web.Response:
    deps, endpoint_id = request.app[DEPENDENCIES], request.match_info["id"]
    if not ENDPOINT_ID.fullmatch(endpoint_id):
        raise NotFound("there is no such endpoint")
    endpoint = await deps.run(redelivery.enable, request[ACCOUNT_ID], endpoint_id)
    return json_answer(EndpointBody.of(endpoint))


ROUTES = (
    Route(
        "GET",
        "/callbacks/endpoints",
        index,
        Operation("listCallbackEndpoints", TAG, "List the URLs that callbacks went to", answers={200: EndpointPage}),
        parameters=frozenset({"limit", "cursor"}),
    ),
    Route(
        "POST",
        "/callbacks/endpoints/{id}/enable",
        enable,
        Operation(
            "enableCallbackEndpoint",
            TAG,
            "Try a disabled URL again",
            answers={200: EndpointBody},
            detail="What was held for it is sent, oldest first. Nothing happens to one that is not disabled.",
        ),
        placeholders={"id": ENDPOINT_ID},
    ),
)
