"""/callbacks/endpoints: the URLs that callbacks were sent to, and which of them are disabled."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.http.paging import Listing, page_answer, requested_page
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.callbacks import TAG
from api.schemas.callbacks import EndpointBody, EndpointPage
from api.schemas.fields import ENDPOINT_ID
from engine.callbacks import redelivery
from engine.domain.errors import NotFound

LISTING = Listing("callback-endpoints", ENDPOINT_ID)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of endpoints, newest first."""
    page = requested_page(request, LISTING)
    endpoints = await request.app[DEPENDENCIES].reads.endpoints(
        request[ACCOUNT_ID], before_id=page.after_id, limit=page.read_limit
    )
    return page_answer(request, LISTING, page, endpoints, EndpointBody.of)


async def enable(request: web.Request) -> web.Response:
    """Enables a disabled endpoint."""
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
        Operation(
            "listCallbackEndpoints", TAG, "List the URLs that callbacks were sent to", answers={200: EndpointPage}
        ),
        parameters=frozenset({"limit", "cursor"}),
    ),
    Route(
        "POST",
        "/callbacks/endpoints/{id}/enable",
        enable,
        Operation(
            "enableCallbackEndpoint",
            TAG,
            "Enable a disabled URL",
            answers={200: EndpointBody},
            detail="The callbacks that were held for it are sent, oldest first. For an enabled URL nothing changes.",
        ),
        placeholders={"id": ENDPOINT_ID},
    ),
)
