"""What stands between the socket and the application: requests that are not HTTP, and peers that send nothing.

aiohttp answers the first in plain text, with what it could not read in it, and logs the same with a traceback. A
chunk size that is wrong is followed by the body, so that both would hold the hidden number.
"""

from typing import Any

import structlog
from aiohttp import web

from api.answers import set_headers
from api.problems import INTERNAL, ProblemError, problem_response

log = structlog.get_logger(__name__)

# Also how long a new connection may take to send a request's head.
IDLE_SECONDS = 30.0
# How long the rest of a refused body is read, so that the client gets to read the refusal.
LINGER_SECONDS = 2.0


def build_runner(app: web.Application, *, shutdown_seconds: float, idle_seconds: float = IDLE_SECONDS) -> web.AppRunner:
    """`shutdown_seconds`: how long requests under way get when the server stops."""
    return _Runner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=idle_seconds,
        lingering_time=LINGER_SECONDS,
        shutdown_timeout=shutdown_seconds,
    )


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, it cannot become another one")
        if status >= 500:
            log.error("connection_failed", error=type(exc).__name__)
            problem = ProblemError(*INTERNAL)
        else:
            problem = ProblemError("malformed_request", "The request does not keep to HTTP.")
        response = problem_response(problem)
        set_headers(response)
        response.force_close()
        return response

    def log_exception(self, *_args: object, **details: Any) -> None:  # noqa: ANN401  as aiohttp passes them on
        log.error("connection_failed", error=type(details.get("exc_info")).__name__)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """aiohttp has no public way to choose the protocol of an application's connections."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(server.request_handler, request_factory=server.request_factory, **self._kwargs)
