"""Connections without an HTTP request are refused, and their bytes neither echoed nor logged."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from api.app import build_app
from api.http.dependencies import DEPENDENCIES
from api.http.server import build_runner
from tests.integration.api_helpers import HIDDEN, Api

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
async def port(api: Api) -> AsyncIterator[int]:
    """The port of the API as in production."""
    app = build_app(api.client.app[DEPENDENCIES])
    runner = build_runner(app, shutdown_seconds=1.0, idle_seconds=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def exchange(port: int, raw: bytes) -> str:
    """Read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return answer.decode()


NOT_HTTP = {
    "a body where a chunk size belongs": "POST /bookings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    f'{{"destination": "{HIDDEN}"}}\r\n',
    "too many words in the first line": f"GET /bookings {HIDDEN} HTTP/1.1\r\n\r\n",
    "no such version": "GET / HTTP/9.9\r\n\r\n",
    "a header without a colon": f"GET / HTTP/1.1\r\n{HIDDEN}\r\n\r\n",
    "an endless line": "GET /" + "a" * 20_000 + " HTTP/1.1\r\n\r\n",
    "an endless header": "GET / HTTP/1.1\r\nX: " + "a" * 20_000 + "\r\n\r\n",
    "two lengths": "POST /bookings HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_bytes_that_are_not_http_get_a_problem_and_are_not_logged(
    port: int, raw: str, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        answer = await exchange(port, raw.encode("latin-1"))
    assert answer.startswith(("HTTP/1.0 400 ", "HTTP/1.1 400 "))
    assert "application/problem+json" in answer
    assert '"code":"malformed_request"' in answer
    assert "aiohttp" not in answer
    assert HIDDEN not in answer
    assert (logs, caplog.text) == ([], "")


async def test_a_connection_without_a_complete_head_is_closed(port: int) -> None:
    assert await exchange(port, b"GET /bookings HTTP/1.1\r\nHost: x\r\n") == ""


async def test_ordinary_requests_are_answered_afterwards(api: Api, port: int) -> None:
    key = api.keys["ours"]
    head = f"GET /bookings HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    answer = await exchange(port, head.encode())
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith('{"data":[],"hasMore":false,"nextCursor":null}')
