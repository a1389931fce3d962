"""Serves the page and its files: public, and the same for everybody.

A file's path has its digest: it may be kept for ever, and another version's is another path. The page is asked for
again each time. Both run under a policy that lets them load from here and talk to here, and nothing else.
"""

import hashlib
import re
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from api.http.routes import Handler, Operation, Route

PATH = "/docs"
FILES = Path(__file__).parent
# In the order in which the page names them.
CONTENT_TYPES = {
    "swagger-ui/swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
# No `unsafe-inline`, no `unsafe-eval`. `data:`: the small pictures within the style sheet.
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


def _place(name: str) -> str:
    """The path of a file beside the page, relative to it: a proxy may serve all of this under a prefix."""
    digest = hashlib.sha256((FILES / name).read_bytes()).hexdigest()
    return f"docs/{digest[:16]}/{Path(name).name}"


PLACES = {name: _place(name) for name in CONTENT_TYPES}
PAGE = re.sub(
    r"\{(.+)\}",
    lambda named: next(place for name, place in PLACES.items() if Path(name).name == named[1]),
    (FILES / "index.html").read_text(encoding="utf-8"),
).encode()
PAGE_ETAG = hashlib.sha256(PAGE).hexdigest()[:32]


async def show_page(request: web.Request) -> web.Response:
    is_known = any(etag.value in {PAGE_ETAG, "*"} for etag in request.if_none_match or ())
    answer = (
        web.Response(status=304) if is_known else web.Response(body=PAGE, content_type="text/html", charset="utf-8")
    )
    answer.etag = PAGE_ETAG
    answer.headers.update(SECURITY | {hdrs.CACHE_CONTROL: ASK_AGAIN})
    return answer


async def show_file(name: str, _request: web.Request) -> web.FileResponse:
    headers = SECURITY | {hdrs.CACHE_CONTROL: FOR_EVER, hdrs.CONTENT_TYPE: CONTENT_TYPES[name]}
    return web.FileResponse(FILES / name, headers=headers)


def _route(path: str, handler: Handler, name: str) -> Route:
    return Route("GET", path, handler, Operation(name, "Operation", "For people", answers={200: None}), public=True)


# Not part of the description: they are no operations of a program.
ROUTES = (
    _route(PATH, show_page, "getDocs"),
    *(_route(f"/{place}", partial(show_file, name), f"getDocsFile:{name}") for name, place in PLACES.items()),
)
