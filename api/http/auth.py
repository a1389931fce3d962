"""Authentication: `Authorization: Bearer <key>` → account. Every route needs a key unless it is `public`.

Routes of Twilio Proxy's API take the same key as Twilio's clients send it: `Basic` with the account's SID and the key.
"""

import asyncio
import base64
import binascii
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
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]{1,200}={0,2})", re.IGNORECASE | re.ASCII)
_USER_AND_KEY = re.compile(r"AC([0-9a-f]{32}):([A-Za-z0-9._~+/-]{1,128}=*)", re.ASCII)
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
        key = await _key(request, is_basic=route is not None and route.basic)
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


async def _key(request: web.Request, *, is_basic: bool) -> ApiKey:
    """Returns the request's key. HTTP Basic names its account, too.

    The key is looked up even if its source has failed too often: a valid key always works.

    Raises:
        ProblemError: The key is missing, malformed, unknown or revoked. The answer is the same for all of these.
    """
    deps = request.app[DEPENDENCIES]
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    header = headers[0] if len(headers) == 1 and len(headers[0]) <= MAX_HEADER else ""
    account_id, secret = _basic(header) if is_basic else _bearer(header)
    digest = key_digest(secret, deps.pepper) if secret else None
    key = None if digest is None else await deps.reads.key(digest)
    if digest is None or key is None or account_id not in {None, key.account_id}:
        if headers:  # a request without any key is not a guess
            _note_failure(request)
        raise _no_account() if is_basic else _no_key()
    deps.key_used(key.id)
    request[KEY_DIGEST] = digest
    return key


def _bearer(header: str) -> tuple[None, str | None]:
    """Returns the key of a header, which alone names the account."""
    match = _BEARER.fullmatch(header)
    return None, match[1] if match else None


def _basic(header: str) -> tuple[str | None, str | None]:
    """Returns the account's id and the key of a header; None for what cannot be read."""
    match = _BASIC.fullmatch(header)
    try:
        plain = base64.b64decode(match[1], validate=True).decode("ascii") if match else ""
    except (binascii.Error, UnicodeDecodeError):
        plain = ""
    named = _USER_AND_KEY.fullmatch(plain)
    return (f"acc_{named[1]}", named[2]) if named else (None, None)


async def check_key_again(request: web.Request) -> None:
    """Raises ProblemError if the request's key was revoked, or its account suspended, in the meantime."""
    key = await request.app[DEPENDENCIES].reads.key(request[KEY_DIGEST])
    if key is None:
        raise _no_key()
    if key.is_suspended:
        raise account_suspended()


def _no_key() -> ProblemError:
    return ProblemError("unauthorized", "Send `Authorization: Bearer <key>` with a valid API key.")


def _no_account() -> ProblemError:
    return ProblemError("unauthorized", "Authenticate with the account's SID as user and an API key as password.")


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
