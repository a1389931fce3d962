"""Authentication: `Authorization: Bearer <key>` → account. Every route needs a key unless it is `public`."""

import asyncio
import re

from aiohttp import hdrs, web

from api.http.auth_failures import FailureLimit
from api.http.client_ip import client_ip_of
from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, IS_SUSPENDED, KEY_DIGEST, OWN_QUOTA, SANDBOX
from api.http.problems import ProblemError
from api.http.routes import ROUTES_BY_HANDLER, Handler
from engine.accounts.keys import key_digest
from engine.storage.accounts import ApiKey
from engine.storage.sandboxes import Sandbox

# RFC 6750's token68, with a limit that our keys never reach: what gets hashed is short and ASCII.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,128}=*)", re.IGNORECASE | re.ASCII)
MAX_HEADER = 256
# The name of this service in the security log.
SERVICE = "HTTP"
FAILURES = web.AppKey("FAILURES", FailureLimit)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Finds the account of the request's key. A handler without a route is not public."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    is_unrouted = request.match_info.http_exception is not None
    if not is_unrouted and not (route and route.public):
        key = await _key(request)
        request[ACCOUNT_ID] = key.account_id
        request[OWN_QUOTA] = key.requests_per_minute
        request[IS_SUSPENDED] = key.is_suspended
        if key.test_of is not None:
            request[SANDBOX] = Sandbox(key.account_id, key.clock_ahead_ms, key.test_of)
    return await handler(request)


@web.middleware
async def refuse_suspended(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses suspended accounts. It runs after the rate limit, so that such requests count too."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if request.get(IS_SUSPENDED) and not (route and route.while_suspended):
        raise account_suspended()
    return await handler(request)


@web.middleware
async def keep_to_sandboxes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses the sandbox's routes to live keys. It runs after the rate limit, so that such requests count too."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if route and route.test and SANDBOX not in request:
        raise ProblemError(
            "test_key_required", "This operation is for sandboxes. Send a key that begins with `rn_test_`."
        )
    return await handler(request)


async def _key(request: web.Request) -> ApiKey:
    """Returns the request's key.

    The key is looked up even if its source has failed too often: a valid key always works.

    Raises:
        ProblemError: The key is missing, malformed, unknown or revoked. The answer is the same for all of these.
    """
    deps = request.app[DEPENDENCIES]
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= MAX_HEADER else None
    digest = key_digest(match[1], deps.pepper) if match else None
    key = None if digest is None else await deps.reads.key(digest)
    if digest is None or key is None:
        if headers:  # a request without any key is not a guess
            _note_failure(request)
        raise _no_key()
    deps.key_used(key.id)
    request[KEY_DIGEST] = digest
    return key


async def check_key_again(request: web.Request) -> None:
    """Raises ProblemError if the request's key was revoked, or its account suspended, in the meantime."""
    key = await request.app[DEPENDENCIES].reads.key(request[KEY_DIGEST])
    if key is None:
        raise _no_key()
    if key.is_suspended:
        raise account_suspended()


def _no_key() -> ProblemError:
    return ProblemError("unauthorized", "Send `Authorization: Bearer <key>` with a valid API key.")


def account_suspended() -> ProblemError:
    """The refusal of a suspended account's requests."""
    return ProblemError("account_suspended", "The operator has suspended the account. Only `GET /account` answers.")


def _note_failure(request: web.Request) -> None:
    """Counts and logs a failed authentication. Raises ProblemError if its source has had too many in this minute."""
    deps = request.app[DEPENDENCIES]
    peer = request.transport.get_extra_info("peername") if request.transport else None
    forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
    source = client_ip_of(peer[0] if peer else None, forwarded, deps.proxies)
    if not request.app[FAILURES].count(source, asyncio.get_running_loop().time()):
        raise ProblemError("too_many_failures", "Too many requests with an invalid key came from this address.")
    deps.refused(SERVICE, "InvalidPassword", str(source))
