"""Keeps other pages and other people out: headers, the origin of requests, CSRF tokens, sessions and roles.

A request that changes something needs all of these: a session in the cookie, the page's own origin in `Origin`, and
the session's CSRF token in the form. A program that sends its session in `Authorization` needs the session only,
because no browser adds that header by itself.
"""

import asyncio
import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from api.http.client_ip import client_ip_of
from api.http.dependencies import DEPENDENCIES, machine_timestamp
from api.schemas.fields import ACCOUNT_ID
from api.web.frame.services import WEB
from api.web.frame.site import Site, Visit
from engine.accounts.sign_in import csrf_token_of, note_session_use, session_digest
from engine.domain.errors import RentedNumbersError
from engine.domain.ids import AccountId
from engine.domain.times import MINUTE_MS
from engine.domain.web_access import Role, WebSession
from engine.runtime.security_log import NotedEvent

CSRF_FIELD = "csrf"
# The origin whose page may show the answer in a frame; not set or None: no page may.
FRAME = web.RequestKey[str | None]("FRAME")
NO_ORIGIN = "'none'"
# In the query of a link: in a frame, the sign-in page is shown before there is a session.
ACCOUNT_PARAMETER = "account"
# On requests that an open page sends by itself.
REFRESH_HEADER = "X-Refresh"
# A session's last use is written once a minute.
NOTE_USE_MS = MINUTE_MS
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class PageRefused(RentedNumbersError):
    """The refusal of a request for a page or an action.

    Attributes:
        status: The HTTP status.
        title: For people; the same for every refusal of this kind.
        detail: What is wrong, and what to do.
        errors: What is wrong with each field of a form, by its name.
    """

    def __init__(self, status: int, title: str, detail: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors or {}


def not_signed_in() -> PageRefused:
    """The refusal of requests without an open session."""
    return PageRefused(401, "You are not signed in", "Open a sign-in link. Each link works once.")


async def find_frame(request: web.Request, site: Site) -> None:
    """Finds the origin that may show the answer in a frame, by the session's account, or without one by the link's."""
    if site.frame_origin is None:
        return
    session, _ = await _find_session(request, site)
    account_id = session.account_id if session else account_named(request)
    request[FRAME] = await site.frame_origin(request, account_id) if account_id else None


def account_named(request: web.Request) -> AccountId | None:
    """Returns the account that a link names. It decides only which origin may show the sign-in page in a frame."""
    named = request.query.get(ACCOUNT_PARAMETER, "")
    return AccountId(named) if ACCOUNT_ID.fullmatch(named) else None


def headers_of(request: web.Request) -> dict[str, str]:
    """Returns the headers of every answer.

    Pico's icons are `data:` pictures in its style sheet. `no-referrer` was rejected: browsers then send `Origin: null`.
    """
    return {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
            f"frame-ancestors {request.get(FRAME) or NO_ORIGIN}"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


async def visit_of(request: web.Request, site: Site, needed: Role, *, is_use: bool = True) -> Visit:
    """Returns who asks. `is_use`: as in `find_visit`.

    Raises:
        PageRefused: There is no open session, or its role does not permit this.
    """
    visit = await find_visit(request, site, is_use=is_use)
    if visit is None:
        raise not_signed_in()
    if not visit.may(needed):
        note_refusal(visit, "RoleRefused")
        raise PageRefused(403, "Your role does not permit this", f"It needs the role {needed.value.lower()}.")
    return visit


async def find_visit(request: web.Request, site: Site, *, is_use: bool = True) -> Visit | None:
    """Returns who asks; None without an open session of this site.

    Args:
        request: The request.
        site: The site.
        is_use: Whether a person made the request. Those that an open page makes by itself do not keep a session open.
    """
    session, secret = await _find_session(request, site)
    if session is None:
        return None
    deps, at = request.app[DEPENDENCIES], machine_timestamp(request)
    if is_use and at.wall_ms - session.seen_at >= NOTE_USE_MS and REFRESH_HEADER not in request.headers:
        await deps.run(note_session_use, session.id, at.wall_ms)
    return Visit(request, site, session, csrf_token_of(secret, deps.pepper), at, address_of(request))


async def _find_session(request: web.Request, site: Site) -> tuple[WebSession | None, str]:
    """Returns the open session of this site that the request has, and its secret."""
    secret, now = _secret_of(request, site), machine_timestamp(request).wall_ms
    if secret is None:
        return None, ""
    session = await request.app[WEB].reads.web_session(session_digest(secret, request.app[DEPENDENCIES].pepper))
    if session is None or session.role not in site.roles or not session.is_open(now):
        return None, ""
    return session, secret


def _secret_of(request: web.Request, site: Site) -> str | None:
    text = request.headers.get(hdrs.AUTHORIZATION)
    secret = text.removeprefix("Bearer ") if text else request.cookies.get(site.cookie, "")
    return secret if _SECRET.fullmatch(secret) else None


def is_of_program(request: web.Request) -> bool:
    """Returns whether the request names its session itself. No browser does that for another site's page."""
    return bool(request.headers.get(hdrs.AUTHORIZATION))  # with an empty one, the session is that of the cookie


def has_own_origin(request: web.Request) -> bool:
    """Returns whether a page of this server sent the request. Every browser sends `Origin` with a POST.

    Hosts are compared, not schemes: a proxy in front of us may end TLS.
    """
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if len(origins) != 1:
        return False
    try:
        return urlsplit(origins[0]).netloc == request.host
    except ValueError:
        return False


def refuse_forged(visit: Visit, token: str) -> None:
    """Refuses a change that no page of ours requested. Raises PageRefused."""
    if is_of_program(visit.request):
        return
    if not has_own_origin(visit.request) or not hmac.compare_digest(token.encode(), visit.csrf.encode()):
        note_refusal(visit, "ForgedRequest")
        raise PageRefused(403, "This request did not come from an open page", "Reload the page and try again.")


def address_of(request: web.Request) -> str:
    """Returns the client's IP address."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
    return str(client_ip_of(peer[0] if peer else None, forwarded, request.app[DEPENDENCIES].proxies))


def note(visit: Visit, event: str, subject: str = "") -> None:
    """Writes what a session did into the security log."""
    visit.services.security_log.noted(
        NotedEvent(visit.site.name, event, visit.session.role.value, visit.address, visit.session.id, subject)
    )


def note_refusal(visit: Visit, event: str) -> None:
    """Writes a refusal into the security log, a few a minute at most: many would push other entries out of the log."""
    who = visit.session.account_id or visit.session.id
    if visit.services.refusals.count(who, asyncio.get_running_loop().time()).allowed:
        note(visit, event)
