"""Protects the application at the level of connections.

It handles requests that are not HTTP, peers that neither send nor read, and too many connections. aiohttp answers
invalid HTTP in plain text that repeats the invalid input, and logs the same with a traceback. After a wrong chunk size
that input is the body, so both would contain the hidden number.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import HttpVersion11, hdrs, web

from api.http.problems import INTERNAL, ProblemError, problem_response
from api.http.responses import request_id_of, set_headers

log = structlog.get_logger(__name__)

# This is also the time that a new connection has to send the head of a request.
IDLE_SECONDS = 30.0
# The rest of a refused body is read for this long, so that the client can read the refusal.
LINGER_SECONDS = 2.0
# Well below the default limit of 1024 open files, because calls need files too.
MAX_CONNECTIONS = 512

# Time in which requests may finish when the engine stops.
SHUTDOWN_SECONDS = 5.0

# The head of a request: half of aiohttp's defaults. For all connections that is up to 128 MB; real requests need a
# tenth of it.
MAX_HEADERS = 64
MAX_HEADER_BYTES = 4096

BaseHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def serve_app(app: web.Application, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serves an application on a listening socket until `stop`."""
    runner = build_runner(app, shutdown_seconds=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def build_runner(
    app: web.Application,
    *,
    shutdown_seconds: float,
    idle_seconds: float = IDLE_SECONDS,
    max_connections: int = MAX_CONNECTIONS,
) -> web.AppRunner:
    """Returns the runner that serves an application.

    Args:
        app: The application.
        shutdown_seconds: How long running requests may take when the server stops.
        idle_seconds: How long a connection may wait for a request.
        max_connections: How many connections may be open.
    """
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
        # If a client does not read its answers, the kernel closes the connection, so that no task waits for ever.
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.keepalive_timeout * 1000))
        super().connection_made(transport)

    @property
    def waits(self) -> bool:
        """Whether the connection waits for the head of a request."""
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
            raise ConnectionError("the answer has begun and cannot be replaced")
        if status >= 500:
            log.error("connection_failed", request_id=request_id_of(request), error=type(exc).__name__)
            problem = ProblemError(*INTERNAL)
        else:
            problem = ProblemError("malformed_request", "The request is not valid HTTP.")
        return _refusal(request, problem, close=True)

    def log_exception(self, *_args: object, **details: Any) -> None:  # noqa: ANN401  as aiohttp passes them on
        log.error("connection_failed", error=type(details.get("exc_info")).__name__)


class _Server(web.Server):
    """Makes room for a new connection, when the server is full, by closing an idle one.

    Connections that never sent a request are closed first. Refusing new connections was rejected: a few hundred silent
    connections would then lock everybody out.
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
    """Serves connections with `_Protocol`: there is no public way to choose the protocol in aiohttp."""

    def __init__(self, app: web.Application, max_connections: int, **options: Any) -> None:  # noqa: ANN401  as above
        super().__init__(app, **options)
        self._max_connections = max_connections

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        handler = _refuse_before_routing(server.request_handler)
        ours = _Server(handler, request_factory=server.request_factory, **self._kwargs)
        ours.max_connections = self._max_connections
        return ours


def _refuse_before_routing(handler: BaseHandler) -> BaseHandler:
    """Refuses what no middleware sees, or sees too late.

    aiohttp answers unknown `Expect` headers in plain text, before any middleware. And a proxy may see the end of a
    request elsewhere than aiohttp does, so that a part of its body becomes a request of somebody else (RFC 9112,
    section 6.1): that connection is closed.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if _is_framed_ambiguously(request):
            return _refusal(request, ProblemError("malformed_request", "The request is not valid HTTP."), close=True)
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            detail = "The only expectation that is supported is 100-continue."
            return _refusal(request, ProblemError("expectation_failed", detail), close=False)
        return await handler(request)

    return handle


def _is_framed_ambiguously(request: web.BaseRequest) -> bool:
    """Whether a proxy may disagree on the end of the request.

    Chunks do not exist in HTTP/1.0, and a proxy may know other codings than aiohttp. aiohttp's parser refuses the other
    cases: two lengths, a length and chunks, folded lines, line ends that are not CR and LF.
    """
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, [])
    return bool(codings) and (request.version < HttpVersion11 or [each.lower() for each in codings] != ["chunked"])


def _refusal(request: web.BaseRequest, problem: ProblemError, *, close: bool) -> web.StreamResponse:
    response = problem_response(problem)
    set_headers(request, response)
    if close:
        response.force_close()
    return response
