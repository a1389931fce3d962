"""/openapi.json: public, built once at start, and the same for all clients."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict

from api.http.routes import Operation, Route
from api.openapi.document import build

# Within this time a client uses its cache. Later an unchanged document costs it a 304 without a body.
CACHE_CONTROL = "public, max-age=300"


class OpenApiDocument(BaseModel):
    """OpenAPI 3.1."""

    model_config = ConfigDict(extra="allow")

    openapi: str


@dataclass(frozen=True, slots=True)
class Served:
    """The document as it is sent, with its ETag."""

    body: bytes
    etag: str


DOCUMENT = web.AppKey("DOCUMENT", Served)


@cache
def prepared(routes: Sequence[Route]) -> Served:
    """Builds the document as it is sent."""
    body = json.dumps(build(routes), ensure_ascii=False, separators=(",", ":")).encode()
    return Served(body, hashlib.sha256(body).hexdigest()[:32])


async def show(request: web.Request) -> web.Response:
    """Answers with the document, or with 304 if the client has it already."""
    document = request.app[DOCUMENT]
    known = request.if_none_match or ()
    is_known = any(etag.value in {document.etag, "*"} for etag in known)
    answer = web.Response(status=304) if is_known else web.Response(body=document.body, content_type="application/json")
    answer.etag = document.etag
    answer.headers[hdrs.CACHE_CONTROL] = CACHE_CONTROL
    return answer


ROUTES = (
    Route(
        "GET",
        "/openapi.json",
        show,
        Operation("getOpenApi", "Operation", "This document", answers={200: OpenApiDocument, 304: None}),
        public=True,
    ),
)
