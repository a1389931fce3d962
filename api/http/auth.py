"""Who is asking: `Authorization: Bearer <key>` → account. Every route needs a key unless it is `public`."""

import asyncio
import re

from aiohttp import hdrs, web

from api.http.auth_failures import FailureLimit
from api.http.client_ip import client_ip_of
from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, KEY_DIGEST, SANDBOX
from api.http.problems import ProblemError
from api.http.routes import ROUTES_BY_HANDLER, Handler
from engine.accounts.keys import key_digest
from engine.storage.accounts import ApiKey
from engine.storage.sandboxes import Sandbox

# RFC 6750's token68, and no longer than any key of ours could get: what is hashed is bounded, and ASCII.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,128}=*)", re.IGNORECASE | re.ASCII)
MAX_HEADER = 256
SERVICE = "HTTP"
FAILURES = web.AppKey("FAILURES", FailureLimit)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A handler that stands in no line of the route table is not public."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    nothing_there = request.match_info.http_exception is not None
    if not nothing_there and not (route and route.public):
        key = await _key(request)
        request[ACCOUNT_ID] = key.account_id
        if key.test_of is not None:
            request[SANDBOX] = Sandbox(key.account_id, key.clock_ahead_ms, key.test_of)
    return await handler(request)


@web.middleware
async def keep_to_sandboxes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Behind the quota: such a request counts, too."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if route and route.test and SANDBOX not in request:
        raise ProblemError("test_key_required", "This is for test worlds: send a key that begins with `rn_test_`.")
    return await handler(request)


async def _key(request: web.Request) -> ApiKey:
    """Raises ProblemError: the same for a key that is missing, malformed, unknown or revoked.

    The key is looked up even for a source that has failed too often: a good one always opens its account.
    """
    deps = request.app[DEPENDENCIES]
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= MAX_HEADER else None
    digest = key_digest(match[1], deps.pepper) if match else ""
    key = await deps.reads.key(digest) if match else None
    if key is None:
        if headers:  # who shows no key at all has not tried one
            _note_failure(request)
        raise _no_key()
    deps.key_used(key.id)
    request[KEY_DIGEST] = digest
    return key


async def check_key_again(request: web.Request) -> None:
    """Raises ProblemError where the key that came with the request was revoked since."""
    if await request.app[DEPENDENCIES].reads.key(request[KEY_DIGEST]) is None:
        raise _no_key()


def _no_key() -> ProblemError:
    return ProblemError("unauthorized", "Send `Authorization: Bearer <key>` with a key of an account.")


def _note_failure(request: web.Request) -> None:
    """Raises ProblemError for a source that has had its failures for this minute."""
    deps = request.app[DEPENDENCIES]
    peer = request.transport.get_extra_info("peername") if request.transport else None
    forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
    source = client_ip_of(peer[0] if peer else None, forwarded, deps.proxies)
    if not request.app[FAILURES].count(source, asyncio.get_running_loop().time()):
        raise ProblemError("too_many_failures", "Too many keys that are none came from this address.")
    deps.refused(SERVICE, "InvalidPassword", str(source))
