"""Makes the routes of a site, and checks session, role and origin before a page or an action runs."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from ipaddress import ip_address

from aiohttp import hdrs, web

from api.http.auth import FAILURES
from api.http.client_ip import scheme_of
from api.http.dependencies import DEPENDENCIES, machine_timestamp
from api.http.parsing import read_bytes
from api.http.read_turns import TURNS as READ_TURNS
from api.http.responses import log_failure
from api.http.routes import Handler, Operation, Route
from api.web.frame.assets import serve_asset
from api.web.frame.page_turns import TURNS
from api.web.frame.protection import (
    ACCOUNT_PARAMETER,
    CSRF_FIELD,
    FRAME,
    PageRefused,
    address_of,
    find_frame,
    find_visit,
    has_own_origin,
    headers_of,
    note,
    refuse_forged,
    visit_of,
)
from api.web.frame.rendering import html_of, json_of, message_of, page_answer, refusal_of, refused_by, wants_json
from api.web.frame.services import WEB
from api.web.frame.site import Action, Page, Result, Site, Stream, Visit
from engine.accounts.sign_in import end_session, link_digest, open_session
from engine.domain.errors import NotFound, RentedNumbersError
from engine.runtime.security_log import NotedEvent

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
CODE_FIELD = "code"
# Seconds after which a browser forgets the cookie; the session itself ends earlier.
COOKIE_SECONDS = 30 * 24 * 3600
# The event upon which an open page reads its live part again.
ACTED = "acted"
NO_PAGE = PageRefused(404, "Not found", "There is no such page.")


def routes_of(site: Site) -> tuple[Route, ...]:
    """Returns the routes of a site: its pages, actions, streams and files, sign-in and sign-out."""
    served: list[tuple[str, str, Handler, Page | Action | None]] = [
        *(("GET", page.path, partial(_show, site, page), page) for page in site.pages),
        *(("POST", action.path, partial(_act, site, action), action) for action in site.actions),
        *(("GET", stream.path, partial(_stream, site, stream), None) for stream in site.streams),
        ("GET", SIGN_IN, partial(_show_sign_in, site), None),
        ("POST", SIGN_IN, partial(_sign_in, site), None),
        ("POST", SIGN_OUT, partial(_sign_out, site), None),
        # One route for all files, so that the metrics do not get a name for each file of each version.
        ("GET", "/static/{digest}/{name}", serve_asset, None),
        # Last, so that an unknown path is refused as a page, not as a problem document.
        ("GET", "/{rest:.*}", _refuse_unknown, None),
    ]
    return tuple(
        _route(method, site.prefix + path, _guarded(site, handler), entry) for method, path, handler, entry in served
    )


def _route(method: str, path: str, handler: Handler, entry: Page | Action | None) -> Route:
    """Returns a route that is not in /openapi.json. It needs no API key, because its handler needs a session."""
    operation = Operation(f"web:{method} {path}", "Operation", "For people", answers={200: None})
    parameters = entry.parameters if isinstance(entry, Page) else frozenset[str]()
    if path.endswith(SIGN_IN):
        parameters = frozenset({ACCOUNT_PARAMETER})
    placeholders = entry.placeholders if entry else {}
    return Route(method, path, handler, operation, parameters=parameters, placeholders=placeholders, public=True)


def _guarded(site: Site, handler: Handler) -> Handler:
    """Returns a handler that answers every refusal as a page of the site."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            await find_frame(request, site)
            return await handler(request)
        except web.HTTPRedirection:
            raise
        except Exception as error:
            if request.writer.output_size > 0:  # a stream has begun, and its answer cannot be replaced
                raise
            if refused_by(error).status == 500:
                log_failure(request, error)
            return refusal_of(request, site, error)

    return handle


async def _show(site: Site, page: Page, request: web.Request) -> web.StreamResponse:
    visit = await visit_of(request, site, page.role)
    _check_placeholders(request, page)
    async with _turn_of(visit), request.app[TURNS]:
        data = await page.load(visit)
    return page_answer(visit, page, data)


def _turn_of(visit: Visit) -> AbstractAsyncContextManager[None]:
    """Lets a customer read one page or list at a time, as the API does. Operators do not wait for each other."""
    customer = visit.session.account_id
    return nullcontext() if customer is None else visit.request.app[READ_TURNS].turn(customer)


def _check_placeholders(request: web.Request, entry: Page | Action) -> None:
    for name, pattern in entry.placeholders.items():
        if not pattern.fullmatch(request.match_info[name]):
            raise NO_PAGE


async def _act(site: Site, action: Action, request: web.Request) -> web.StreamResponse:
    visit = await visit_of(request, site, action.role)
    form = await _form_of(request, action.fields | action.optional | {CSRF_FIELD})
    refuse_forged(visit, form.pop(CSRF_FIELD, ""))
    _check_placeholders(request, action)
    if not action.fields <= form.keys():
        raise PageRefused(422, "The form is not complete", "Reload the page and try again.")
    if action.shows_page and not wants_json(request):
        return await _act_on_page(visit, action, form)
    outcome = await action.run(visit, form)
    note(visit, outcome.event or action.event, outcome.subject)
    if wants_json(request):
        return json_of(request, {"message": outcome.message, **outcome.data})
    if outcome.html is not None:
        answer = web.Response(text=outcome.html, content_type="text/html", headers=headers_of(request))
    else:
        answer = message_of(request, site, outcome.message)
    answer.headers["HX-Trigger"] = ACTED
    return answer


async def _act_on_page(visit: Visit, action: Action, form: Mapping[str, str]) -> web.StreamResponse:
    """Carries an action out, and answers with its page: with what was done, or with what is wrong with the form."""
    request, path, status = visit.request, visit.request.path, 200
    [page] = [page for page in visit.site.pages if page.path == action.page]
    try:
        outcome = await action.run(visit, form)
    except (RentedNumbersError, TimeoutError) as error:
        refused = refused_by(error)
        if refused.status == 500:
            raise
        message = refused.title if refused.errors else f"{refused.title}. {refused.detail}"
        result, status = Result(path, message, is_error=True, errors=refused.errors, sent=form), refused.status
    else:
        note(visit, outcome.event or action.event, outcome.subject)
        result = Result(path, outcome.message, data=outcome.data)
    async with _turn_of(visit), request.app[TURNS]:
        data = await page.load(visit)
    return page_answer(visit, page, data, result, status=status)


async def _stream(site: Site, stream: Stream, request: web.Request) -> web.StreamResponse:
    # An open page begins its stream again by itself.
    return await stream.run(await visit_of(request, site, stream.role, is_use=False))


async def _show_sign_in(site: Site, request: web.Request) -> web.StreamResponse:
    # Also for who is signed in already: the code of another link is behind the `#`, which the server does not see.
    open_visit = await find_visit(request, site)
    return html_of(request, site, "sign_in.html", {"refused": None, "is_signed_in": open_visit is not None})


async def _sign_in(site: Site, request: web.Request) -> web.StreamResponse:
    """Opens a session with a link's code. A program gets its session from the command line instead."""
    form = await _form_of(request, frozenset({CODE_FIELD}))
    if not has_own_origin(request):
        raise PageRefused(403, "This request did not come from an open page", "Open the link again.")
    deps, address, now = request.app[DEPENDENCIES], address_of(request), machine_timestamp(request).wall_ms
    code, opened = form.get(CODE_FIELD, "").strip(), None
    # A read comes first: transactions wait among those of calls, and any client may send a code that opens nothing.
    if await request.app[WEB].reads.has_usable_link(link_digest(code, deps.pepper), now):
        opened = await deps.run(open_session, code, site.roles, deps.pepper, now)
    if opened is None:
        _note_failure(site, request, address)
        raise PageRefused(401, "This link does not work", "It was used already, or it is too old. Open a new link.")
    session = opened.session
    before = await find_visit(request, site, is_use=False)
    if before is not None:  # its cookie is replaced, so its browser could not end it any more
        with suppress(NotFound):
            await deps.run(end_session, before.session.id, now)
        note(before, "SignedOut")
    request.app[WEB].security_log.noted(NotedEvent(site.name, "SignedIn", session.role.value, address, session.id))
    answer = web.HTTPSeeOther(site.prefix + site.pages[0].path)
    if site.frame_origin is not None and session.account_id is not None:
        request[FRAME] = await site.frame_origin(request, session.account_id)
    _set_cookie(request, answer, site, opened.secret, COOKIE_SECONDS)
    raise answer


def _set_cookie(request: web.Request, answer: web.Response, site: Site, value: str, seconds: int) -> None:
    """Sets the session's cookie, or deletes it if `seconds` is 0.

    It reaches the site's own paths only, and no script; over TLS it is never sent without. In a frame of another site
    the browser keeps it apart from all others, and for that site only (CHIPS), which needs TLS.
    """
    is_encrypted = scheme_of(request) == "https"
    is_framed = is_encrypted and request.get(FRAME) is not None
    attributes = [f"{site.cookie}={value}", f"Path={site.prefix}", f"Max-Age={seconds}", "HttpOnly"]
    attributes += ["Secure"] if is_encrypted else []
    attributes += ["SameSite=None", "Partitioned"] if is_framed else ["SameSite=Strict"]
    # Written by hand, because Python knows `Partitioned` from 3.14 on only.
    answer.headers.add(hdrs.SET_COOKIE, "; ".join(attributes))


async def _sign_out(site: Site, request: web.Request) -> web.StreamResponse:
    visit = await find_visit(request, site)
    form = await _form_of(request, frozenset({CSRF_FIELD}))
    if visit is None and not has_own_origin(request):
        # Another site's form does not send the cookie, but this answer would delete it.
        raise PageRefused(403, "This request did not come from an open page", "Reload the page and try again.")
    if visit is not None:
        refuse_forged(visit, form.get(CSRF_FIELD, ""))
        with suppress(NotFound):  # ended meanwhile
            await visit.deps.run(end_session, visit.session.id, visit.now)
        note(visit, "SignedOut")
    answer = web.HTTPSeeOther(site.prefix + SIGN_IN)
    _set_cookie(request, answer, site, "", 0)
    raise answer


async def _refuse_unknown(_: web.Request) -> web.StreamResponse:
    raise NO_PAGE


async def _form_of(request: web.Request, names: frozenset[str]) -> dict[str, str]:
    """Returns a form's fields, each of which may be there once. Raises PageRefused."""
    is_plain = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() == "identity"
    is_utf8 = (request.charset or "utf-8").lower() == "utf-8"  # some of Python's codecs are slow, or not for text
    if request.content_type != "application/x-www-form-urlencoded" or not (is_plain and is_utf8):
        raise PageRefused(415, "The form cannot be read", "Send application/x-www-form-urlencoded, in UTF-8.")
    await read_bytes(request)  # bounded; aiohttp keeps the body for post()
    try:
        sent = await request.post()
    except UnicodeDecodeError:
        raise PageRefused(400, "The form cannot be read", "Send it in UTF-8.") from None
    if len(set(sent)) != len(sent) or not sent.keys() <= names:
        raise PageRefused(422, "The form has unknown fields", "Reload the page and try again.")
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def _note_failure(site: Site, request: web.Request, address: str) -> None:
    """Logs a code that opens nothing. Raises PageRefused if its source has had too many in this minute."""
    is_within = request.app[FAILURES].count(ip_address(address), asyncio.get_running_loop().time())
    if not is_within:
        raise PageRefused(429, "Too many codes that do not work", "Try again in a minute.")
    request.app[WEB].security_log.refused(site.name, "InvalidPassword", address)
