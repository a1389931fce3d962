"""A customer's callback receiver on loopback, with scripted answers. A real server on a real socket.

    async with CallbackReceiver() as receiver:
        receiver.answer_with(Answer(503, headers={"Retry-After": "2"}), Answer(200))
        ...                                # something posts to receiver.url
        await receiver.wait_for(2)         # or fails after 30 seconds
        receiver.requests[0].body

Answers are used in turn, and the last one is repeated. Without any, every request is answered with 204.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        body: Sent `times` times. `CallbackReceiver.bytes_sent` counts what was sent.
        delay: Seconds before the answer.
        reset: Drop the connection instead of answering.
    """

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    delay: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Received:
    """A received request. `path` includes the query; `at` is in monotonic seconds."""

    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    at: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


class CallbackReceiver:
    def __init__(self, host: str = "127.0.0.1", path: str = "/callback", *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.bytes_sent = 0
        self.port = 0
        self._host = host
        self._path = path
        self._tls = tls
        self._answers: list[Answer] = [Answer()]
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return self.url_on(self._host)

    def url_on(self, host: str) -> str:
        """Return the URL with another spelling of the host."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{self._path}"

    def answer_with(self, *answers: Answer) -> None:
        """Set the answers to the next requests."""
        self._answers = list(answers)

    async def wait_for(self, count: int, timeout: float = 30.0) -> None:  # noqa: ASYNC109  a test's patience
        """Wait until `count` requests have come in total. Raises AssertionError after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(lambda: len(self.requests) >= count)
        except TimeoutError:
            raise AssertionError(f"{len(self.requests)} of {count} requests came within {timeout} s") from None

    async def __aenter__(self) -> Self:
        self._server = web.Server(self._handle)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._counting(self._server), self._host, 0, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        await self._server.shutdown(timeout=0.1)
        await self._listener.wait_closed()

    def _counting(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        def accept() -> asyncio.BaseProtocol:
            self.connections += 1
            return server()

        return accept

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        async with self._arrived:
            self.requests.append(Received(request.path_qs, request.headers, body, time.monotonic()))
            self._arrived.notify_all()
        await asyncio.sleep(answer.delay)
        if answer.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return await self._send(request, answer)

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        if answer.body:
            for _ in range(answer.times):
                await response.write(answer.body)
                self.bytes_sent += len(answer.body)
        await response.write_eof()
        return response
