"""The files that pages load: ours and vendored ones. Nothing is loaded from another host.

The path of a file contains its digest, so browsers may keep it for ever: another version has another path. Each file
is compressed once, when it is first needed.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

WEB_FILES = Path(__file__).parents[1]
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
# Where the files are, by the name with which templates ask for them. htmx and its extension come together: htmx begins
# with a page right after its own script, and would not know an extension that comes later.
FILES = {
    "pico.css": ("vendor/pico/pico.min.css",),
    "uplot.css": ("vendor/uplot/uPlot.min.css",),
    "uplot.js": ("vendor/uplot/uPlot.iife.min.js",),
    "htmx.js": ("vendor/htmx/htmx.min.js", "vendor/htmx/hx-sse.min.js"),
    "pages.css": ("static/pages.css",),
    "pages.js": ("static/pages.js",),
    "hours.js": ("static/hours.js",),
    "chart.js": ("static/chart.js",),
    "icon.svg": ("static/icon.svg",),
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file.

    Attributes:
        path: Its path below the site's prefix.
        packed: Its content, compressed with gzip.
    """

    path: str
    content_type: str
    content: bytes
    packed: bytes


@cache
def assets() -> dict[str, Asset]:
    """Returns all files by their names."""
    return {name: _asset(name, *(WEB_FILES / part for part in parts)) for name, parts in FILES.items()}


def _asset(name: str, *parts: Path) -> Asset:
    content = b"\n".join(part.read_bytes() for part in parts)
    digest = hashlib.sha256(content).hexdigest()[:16]
    # Without a time in it, the same file always gives the same bytes.
    return Asset(f"/static/{digest}/{name}", _TYPES[parts[0].suffix], content, gzip.compress(content, mtime=0))


async def serve_asset(request: web.Request) -> web.Response:
    """Answers with a file, if the path has its digest."""
    asset = assets().get(request.match_info["name"])
    if asset is None or not request.path.endswith(asset.path):
        raise web.HTTPNotFound
    is_packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    headers = {hdrs.CACHE_CONTROL: FOR_EVER, hdrs.CONTENT_TYPE: asset.content_type, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if is_packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=asset.packed if is_packed else asset.content, headers=headers)
