"""Who is asking: `Authorization: Bearer <key>` → account. Every route needs a key unless it is `public`."""

import re

from aiohttp import hdrs, web

from api.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.problems import ProblemError
from api.routes import ROUTES_BY_HANDLER, Handler
from engine.accounts import key_digest

# RFC 6750's token68, and no longer than any key of ours could get: what is hashed is bounded, and ASCII.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,128}=*)", re.IGNORECASE | re.ASCII)
MAX_HEADER = 256


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A handler that stands in no line of the route table is not public."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    nothing_there = request.match_info.http_exception is not None
    if not nothing_there and not (route and route.public):
        request[ACCOUNT_ID] = await _account_id(request)
    return await handler(request)


async def _account_id(request: web.Request) -> str:
    """Raises ProblemError: the same for a key that is missing, malformed, unknown or revoked."""
    deps = request.app[DEPENDENCIES]
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= MAX_HEADER else None
    account_id = await deps.reads.account_of_key(key_digest(match[1], deps.pepper)) if match else None
    if account_id is None:
        raise ProblemError("unauthorized", "Send `Authorization: Bearer <key>` with a key of an account.")
    return account_id
