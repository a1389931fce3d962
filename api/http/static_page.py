"""Serves a page and its files: public, and the same for all clients.

The path of a file contains its digest. So browsers may cache a file for ever: another version has another path. The
page itself is revalidated each time.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from api.http.routes import Handler, Operation, Route

FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


class StaticPage:
    """A page, made once from `index.html`, in which `{name}` is the path of that file.

    Args:
        name: The page's path without the slash, and the beginning of its files' paths.
        directory: Where `index.html` and the files are.
        content_types: The media type of each file, by its path in the directory.
        security: Headers of the page and its files: what browsers may do with them.

    Attributes:
        paths: The path of each file, relative to the page, because a proxy may serve all this under a prefix.
        html: The page.
    """

    def __init__(
        self, name: str, directory: Path, content_types: Mapping[str, str], security: Mapping[str, str]
    ) -> None:
        self._name = name
        self._directory = directory
        self._content_types = content_types
        self._security = dict(security)
        self.paths = {file: self._path_of(file) for file in content_types}
        by_name = {Path(file).name: path for file, path in self.paths.items()}
        text = (directory / "index.html").read_text(encoding="utf-8")
        self.html = re.sub(r"\{(.+)\}", lambda named: by_name[named[1]], text).encode()
        self._etag = hashlib.sha256(self.html).hexdigest()[:32]

    def _path_of(self, file: str) -> str:
        digest = hashlib.sha256((self._directory / file).read_bytes()).hexdigest()
        return f"{self._name}/{digest[:16]}/{Path(file).name}"

    def routes(self) -> tuple[Route, ...]:
        """Returns the routes. They are not in /openapi.json: pages are for people, not for programs."""
        show_file = [self._route(f"/{path}", partial(self._show_file, file)) for file, path in self.paths.items()]
        return (self._route(f"/{self._name}", self._show), *show_file)

    def _route(self, path: str, handler: Handler) -> Route:
        operation = Operation(f"get:{path}", "Operation", "For people", answers={200: None})
        return Route("GET", path, handler, operation, public=True)

    async def _show(self, request: web.Request) -> web.Response:
        """Answers with the page, or with 304 if the browser has it already."""
        is_known = any(etag.value in {self._etag, "*"} for etag in request.if_none_match or ())
        answer = (
            web.Response(status=304)
            if is_known
            else web.Response(body=self.html, content_type="text/html", charset="utf-8")
        )
        answer.etag = self._etag
        answer.headers.update(self._security | {hdrs.CACHE_CONTROL: ASK_AGAIN})
        return answer

    async def _show_file(self, file: str, _request: web.Request) -> web.FileResponse:
        headers = self._security | {hdrs.CACHE_CONTROL: FOR_EVER, hdrs.CONTENT_TYPE: self._content_types[file]}
        return web.FileResponse(self._directory / file, headers=headers)
