"""Serves the page and its files: public, and the same for all clients.

The path of a file contains its digest. So browsers may cache a file for ever: another version has another path. The
page itself is revalidated each time. The content security policy lets both load and call this server only.
"""

import hashlib
import re
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from api.http.routes import Handler, Operation, Route

PATH = "/docs"
FILES = Path(__file__).parent
# In the order of the page.
CONTENT_TYPES = {
    "swagger-ui/swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
# Without `unsafe-inline` and `unsafe-eval`. The style sheet has small pictures as `data:`.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


def _path_of(name: str) -> str:
    """The path of a file relative to the page, because a proxy may serve all this under a prefix."""
    digest = hashlib.sha256((FILES / name).read_bytes()).hexdigest()
    return f"docs/{digest[:16]}/{Path(name).name}"


PATHS = {name: _path_of(name) for name in CONTENT_TYPES}
PAGE = re.sub(
    r"\{(.+)\}",
    lambda named: next(path for name, path in PATHS.items() if Path(name).name == named[1]),
    (FILES / "index.html").read_text(encoding="utf-8"),
).encode()
PAGE_ETAG = hashlib.sha256(PAGE).hexdigest()[:32]


async def show_page(request: web.Request) -> web.Response:
    """Answers with the page, or with 304 if the browser has it already."""
    is_known = any(etag.value in {PAGE_ETAG, "*"} for etag in request.if_none_match or ())
    answer = (
        web.Response(status=304) if is_known else web.Response(body=PAGE, content_type="text/html", charset="utf-8")
    )
    answer.etag = PAGE_ETAG
    answer.headers.update(SECURITY | {hdrs.CACHE_CONTROL: ASK_AGAIN})
    return answer


async def show_file(name: str, _request: web.Request) -> web.FileResponse:
    """Answers with one of the page's files."""
    headers = SECURITY | {hdrs.CACHE_CONTROL: FOR_EVER, hdrs.CONTENT_TYPE: CONTENT_TYPES[name]}
    return web.FileResponse(FILES / name, headers=headers)


def _route(path: str, handler: Handler, name: str) -> Route:
    return Route("GET", path, handler, Operation(name, "Operation", "For people", answers={200: None}), public=True)


# Not in /openapi.json: these pages are for people, not for programs.
ROUTES = (
    _route(PATH, show_page, "getDocs"),
    *(_route(f"/{path}", partial(show_file, name), f"getDocsFile:{name}") for name, path in PATHS.items()),
)
