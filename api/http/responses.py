"""The headers that all answers have, answers that are not refusals, and the log of requests that failed."""

import re

import structlog
from aiohttp import hdrs, web

from api.schemas.common import Outgoing
from engine.runtime.ids import new_id
from engine.runtime.logs import places_of
from engine.storage.kept_answers import KeptAnswer

log = structlog.get_logger(__name__)

# aiohttp's own value has its version and Python's.
SERVER = "rented-numbers"
# On all answers to sandbox keys. The header had its name before sandboxes were called so.
SANDBOX_HEADER = "RentedNumbers-World"
# On all answers, and in the log lines that requests cause.
REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = web.RequestKey("REQUEST_ID", str)
_ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_of(request: web.BaseRequest) -> str:
    """Returns the request's id: the one that the client or the proxy sent if it can be used, else a new one."""
    if _REQUEST_ID not in request:
        sent = request.headers.get(REQUEST_ID_HEADER, "")
        request[_REQUEST_ID] = sent if _ACCEPTED_REQUEST_ID.fullmatch(sent) else new_id("req")
    return request[_REQUEST_ID]


def set_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Sets the headers of every answer. No cache may keep answers, because they contain hidden numbers."""
    response.headers[REQUEST_ID_HEADER] = request_id_of(request)
    response.headers[hdrs.SERVER] = SERVER
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"


def json_answer(body: Outgoing, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Returns an answer with a JSON body."""
    return web.Response(
        status=status,
        body=body.model_dump_json().encode(),
        headers=headers,
        content_type="application/json",
    )


def text_answer(answer: KeptAnswer, *, headers: dict[str, str]) -> web.Response:
    """Returns an answer whose body is JSON text already."""
    place: dict[str, str] = {} if answer.location is None else {hdrs.LOCATION: answer.location}
    return web.Response(
        status=answer.status, body=answer.body.encode(), headers=headers | place, content_type="application/json"
    )


def log_failure(request: web.Request, error: Exception) -> None:
    """Logs where the error happened, without its message, which may repeat a telephone number."""
    resource = request.match_info.route.resource
    log.error(
        "request_failed",
        request_id=request_id_of(request),
        method=request.method,
        route=resource.canonical if resource else None,
        error=type(error).__name__,
        where=places_of(error),
    )
