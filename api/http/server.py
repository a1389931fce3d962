"""What stands between the socket and the application: requests that are not HTTP, peers that send or read nothing, and
more connections than there is room for.

aiohttp answers the first in plain text, with what it could not read in it, and logs the same with a traceback. A
chunk size that is wrong is followed by the body, so that both would hold the hidden number.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import hdrs, web

from api.http.problems import INTERNAL, ProblemError, problem_response
from api.http.responses import set_headers

log = structlog.get_logger(__name__)

# Also how long a new connection may take to send a request's head.
IDLE_SECONDS = 30.0
# How long the rest of a refused body is read, so that the client gets to read the refusal.
LINGER_SECONDS = 2.0
# Well below the 1024 files that a process may have open by default: calls need theirs.
MAX_CONNECTIONS = 512

# The head of a request. Half of what aiohttp allows, and times the connections still 128 MB; ours need a tenth.
MAX_HEADERS = 64
MAX_HEADER_BYTES = 4096

BaseHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def build_runner(
    app: web.Application,
    *,
    shutdown_seconds: float,
    idle_seconds: float = IDLE_SECONDS,
    max_connections: int = MAX_CONNECTIONS,
) -> web.AppRunner:
    """`shutdown_seconds`: how long requests under way get when the server stops."""
    return _Runner(
        app,
        max_connections,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=idle_seconds,
        lingering_time=LINGER_SECONDS,
        max_headers=MAX_HEADERS,
        max_field_size=MAX_HEADER_BYTES,
        shutdown_timeout=shutdown_seconds,
    )


class _Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A client that does not read its answers: the kernel gives it up, and no task waits for it for ever.
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.keepalive_timeout * 1000))
        super().connection_made(transport)

    @property
    def waits(self) -> bool:
        """For the head of a request."""
        return self.transport is not None and not self._request_in_progress

    @property
    def had_requests(self) -> bool:
        return self._request_count > 0

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
    """When it is full, whoever waits without sending a request makes room: first those that never sent any.

    To refuse who comes last was rejected: a few hundred silent connections would then keep everybody out.
    """

    max_connections = MAX_CONNECTIONS

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        if len(self._connections) >= self.max_connections:
            (self._longest_waiting() or handler).force_close()
        super().connection_made(handler, transport)

    def _longest_waiting(self) -> web.RequestHandler | None:
        waiting = [each for each in self._connections if isinstance(each, _Protocol) and each.waits]
        return next((each for each in waiting if not each.had_requests), waiting[0] if waiting else None)


class _Runner(web.AppRunner):
    """aiohttp has no public way to choose the protocol of an application's connections."""

    def __init__(self, app: web.Application, max_connections: int, **options: Any) -> None:  # noqa: ANN401  as above
        super().__init__(app, **options)
        self._max_connections = max_connections

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        handler = _refuse_expectations(server.request_handler)
        ours = _Server(handler, request_factory=server.request_factory, **self._kwargs)
        ours.max_connections = self._max_connections
        return ours


def _refuse_expectations(handler: BaseHandler) -> BaseHandler:
    """aiohttp looks at `Expect` before any middleware, and refuses what it does not know in plain text."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() == "100-continue":
            return await handler(request)
        response = problem_response(ProblemError("expectation_failed", "Expect nothing, or 100-continue."))
        set_headers(response)
        return response

    return handle
