"""The page /phone and its routes. The page itself is the same for everybody; the telephones are for this machine."""

from functools import partial
from pathlib import Path

from aiohttp import web

from api.http.routes import Handler, Operation, Route
from api.http.static_page import StaticPage
from api.phone_page import lines, relay
from api.phone_page.guard import PHONES
from engine.asterisk.browser_phones import BrowserPhones

FILES = Path(__file__).parent
CONTENT_TYPES = {
    "phone.css": "text/css; charset=utf-8",
    "jssip/jssip.js": "text/javascript; charset=utf-8",
    "sounds.js": "text/javascript; charset=utf-8",
    "telephone.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
# 'self' of connect-src includes the WebSocket of this host and port (Content Security Policy level 3).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "same-origin",
}
PAGE = StaticPage("phone", FILES, CONTENT_TYPES, SECURITY)


def _route(method: str, path: str, handler: Handler) -> Route:
    operation = Operation(f"{method}:{path}", "Operation", "For people", answers={200: None})
    return Route(method, path, handler, operation, public=True)


def prepare(app: web.Application, phones: BrowserPhones) -> None:
    """Prepares an application for these routes."""
    app[PHONES] = phones
    app[relay.OPEN] = relay.open_phones()
    app.on_shutdown.append(relay.close_all)


ROUTES = (
    *PAGE.routes(),
    *(_route("POST", f"/phone/lines/{role}", partial(lines.give_line, role)) for role in lines.Role),
    _route("GET", "/phone/sip", relay.relay),
)
