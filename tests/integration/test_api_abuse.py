"""Attacks on the API's port: their time, memory and connections are bounded, and other clients are served."""

import asyncio
import ctypes
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from aiohttp import web

from api.app import RequestLimits, build_app
from api.http.dependencies import DEPENDENCIES
from api.http.server import build_runner
from tests.integration.api_helpers import Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

MIB = 2**20
MAX_GROWTH = 64 * MIB
MAX_CONNECTIONS = 20
IDLE_SECONDS = 1.0


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(body_seconds=1.0)


@pytest.fixture
async def port(api: Api) -> AsyncIterator[int]:
    """The port of the API as in production, with shorter timeouts and fewer connections."""
    app = build_app(api.client.app[DEPENDENCIES])
    runner = build_runner(app, shutdown_seconds=0.2, idle_seconds=IDLE_SECONDS, max_connections=MAX_CONNECTIONS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@asynccontextmanager
async def measured(name: str) -> AsyncIterator[None]:
    """Print the memory that stayed and the longest stall of the event loop. Asserts the memory."""
    done = asyncio.Event()

    async def longest_stall() -> float:
        longest = 0.0
        while not done.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began - 0.005)
        return longest

    memory = psutil.Process().memory_info().rss
    stall = asyncio.create_task(longest_stall())
    try:
        yield
    finally:
        done.set()
        # The clients are in this process too, and their freed buffers may stay in the allocator.
        ctypes.CDLL(None).malloc_trim(0)
        grown = psutil.Process().memory_info().rss - memory
        print(f"\nA4: {name}: RSS +{grown / MIB:.1f} MiB, stall {await stall * 1000:.0f} ms")  # noqa: T201  the figure
    assert grown < MAX_GROWTH


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def closed(reader: asyncio.StreamReader, seconds: float = 10.0) -> bytes:
    """Read until the server closes. Raises TimeoutError."""
    answer = b""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                answer += chunk
    return answer


def request_of(
    api: Api, line: str = "GET /bookings", headers: str = "Connection: close\r\n", body: bytes = b""
) -> bytes:
    head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['ours']}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


async def exchange(port: int, raw: bytes) -> bytes:
    reader, writer = await connect(port)
    try:
        writer.write(raw)
        return await closed(reader)
    finally:
        writer.close()


async def is_served(api: Api, port: int) -> bool:
    return (await exchange(port, request_of(api))).startswith(b"HTTP/1.1 200 ")


JSON = "Content-Type: application/json\r\nConnection: close\r\n"
CHUNKED = JSON + "Transfer-Encoding: chunked\r\n"

VALID = json.dumps(a_request()).encode()
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(VALID), VALID)

# Request line, headers, body. The answer to each is a 4xx problem.
ODD: dict[str, tuple[str, str, bytes]] = {
    "CONNECT": ("CONNECT evil.example:443", "", b""),
    "an unknown method": ("FOO /bookings", "", b""),
    "OPTIONS *": ("OPTIONS *", "", b""),
    "NUL in an id": ("GET /bookings/bkg_%00", "", b""),
    "a slash in an id": ("GET /bookings/x%2Fexplain", "", b""),
    "dots": ("GET /bookings/../bookings", "", b""),
    "encoded dots": ("GET /bookings/%2e%2e/health", "", b""),
    "a percent sign alone": ("GET /bookings/%zz", "", b""),
    "an id that is no UTF-8": ("GET /bookings/%ff%fe", "", b""),
    "raw bytes in the path": ("GET /bookings/\xff", "", b""),
    "bytes in the query": ("GET /bookings?limit=%ff%00", "", b""),
    "thousands of parameters": ("GET /bookings?" + "a&" * 3000, "", b""),
    "a header of 5 KiB": ("GET /bookings", "X: " + "a" * 5000 + "\r\n", b""),
    "a hundred headers": ("GET /bookings", "X: a\r\n" * 100, b""),
    "NUL in a header": ("GET /bookings", "X: a\x00b\r\n", b""),
    "a folded header": ("GET /bookings", "X: a\r\n b\r\n", b""),
    "a blank before a colon": ("GET /bookings", "X : a\r\n", b""),
    "two hosts": ("GET /bookings", "Host: y\r\n", b""),
    "an unknown expectation": ("GET /bookings", "Expect: the-unexpected\r\nConnection: close\r\n", b""),
    "an unknown expectation nowhere": ("GET /nowhere", "Expect: the-unexpected\r\nConnection: close\r\n", b""),
    "a length with a sign": ("POST /bookings", JSON + "Content-Length: +2\r\n", b"{}"),
    "a negative length": ("POST /bookings", JSON + "Content-Length: -1\r\n", b""),
    "two lengths in one": ("POST /bookings", JSON + "Content-Length: 2, 2\r\n", b"{}"),
    "a length beyond all numbers": ("POST /bookings", JSON + "Content-Length: " + "9" * 30 + "\r\n", b""),
    "a length of ten gigabytes": ("POST /bookings", JSON + "Content-Length: 10000000000\r\n", b""),
    "a compressed transfer": ("POST /bookings", JSON + "Transfer-Encoding: gzip, chunked\r\n", IN_CHUNKS),
    "an unknown transfer": ("POST /bookings", JSON + "Transfer-Encoding: x\r\n", b"{}"),
    "a negative chunk": ("POST /bookings", CHUNKED, b"-1\r\n{}\r\n0\r\n\r\n"),
    "a chunk beyond all numbers": ("POST /bookings", CHUNKED, b"F" * 18 + b"\r\n{}"),
    "ten thousand trailers": ("POST /bookings", CHUNKED, b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
    "a chunk extension of a megabyte": ("POST /bookings", CHUNKED, b"2;" + b"a" * MIB + b"\r\n{}\r\n0\r\n\r\n"),
    "100,000 arrays in each other": ("POST /bookings", CHUNKED, b"186a0\r\n" + b"[" * 100_000 + b"\r\n0\r\n\r\n"),
    "60,000 arrays in each other": ("POST /bookings", CHUNKED, b"ea60\r\n" + b"[" * 60_000 + b"\r\n0\r\n\r\n"),
    "10,000 objects in each other": ("POST /bookings", CHUNKED, b"c350\r\n" + b'{"a":' * 10_000 + b"\r\n0\r\n\r\n"),
}


async def test_every_bad_request_is_answered_with_a_problem(api: Api, port: int) -> None:
    before = await api.storage.run(lambda tx: tx.bookings.ledger_page("", 10))
    async with measured(f"{len(ODD)} odd requests"):
        for name, (line, headers, body) in ODD.items():
            answer = await exchange(port, request_of(api, line, headers or "Connection: close\r\n", body))
            head, _, content = answer.partition(b"\r\n\r\n")
            assert head.split(b" ")[1][:1] == b"4", (name, answer[:300])
            assert b"Content-Type: application/problem+json" in head, name
            assert set(json.loads(content)) >= {"type", "title", "status", "detail", "code", "retryable"}, name
    assert await api.storage.run(lambda tx: tx.bookings.ledger_page("", 10)) == before


async def test_a_request_target_with_another_host_reaches_the_same_route(api: Api, port: int) -> None:
    """RFC 9112 requires a server to accept the absolute form. The API ignores its host."""
    line = "GET http://evil.example/bookings"
    plain, absolute = await exchange(port, request_of(api)), await exchange(port, request_of(api, line))
    assert plain.partition(b"\r\n\r\n")[2] == absolute.partition(b"\r\n\r\n")[2]
    assert b"evil" not in absolute


async def test_a_client_that_expects_100_continue_gets_it(api: Api, port: int) -> None:
    body = json.dumps(a_request()).encode()
    reader, writer = await connect(port)
    headers = f"{JSON}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n"
    writer.write(request_of(api, "POST /bookings", headers))
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await closed(reader)).startswith(b"HTTP/1.1 201 ")
    writer.close()


async def test_bodies_of_ten_megabytes_are_not_kept_in_memory(api: Api, port: int) -> None:
    async with measured("ten times 10 MB at once"):
        raw = request_of(api, "POST /bookings", CHUNKED, b"989680\r\n" + b" " * 10_000_000)
        answers = await asyncio.gather(*(exchange(port, raw) for _ in range(10)), return_exceptions=True)
    for answer in answers:  # or the connection broke during the send
        assert isinstance(answer, BaseException) or answer == b"" or b" 413 " in answer.split(b"\r\n")[0]
    assert await is_served(api, port)


async def drip(writer: asyncio.StreamWriter, raw: bytes, pause: float) -> None:
    with suppress(ConnectionError):
        for byte in raw:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause)


SLOW: dict[str, Callable[[Api], tuple[bytes, bytes]]] = {
    "nothing": lambda _: (b"", b""),
    "a head without end": lambda _: (b"GET /bookings HTTP/1.1\r\n", b"X: y\r\n" * 1000),
    "a line without end": lambda _: (b"GET /", b"a" * 4000),
    "blank lines": lambda _: (b"", b"\r\n" * 1000),
    "a body": lambda api: (request_of(api, "POST /bookings", JSON + "Content-Length: 4000\r\n"), b" " * 4000),
    "a body in chunks": lambda api: (request_of(api, "POST /bookings", CHUNKED), b"1\r\n \r\n" * 1000),
}


@pytest.mark.parametrize("what", SLOW)
async def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(api: Api, port: int, what: str) -> None:
    first, then = SLOW[what](api)
    reader, writer = await connect(port)
    writer.write(first)
    dripping = asyncio.create_task(drip(writer, then, 0.05))
    answer = await closed(reader, 20)
    dripping.cancel()
    writer.close()
    assert (b" 408 " in answer.split(b"\r\n")[0]) == ("body" in what)


async def test_silent_connections_do_not_block_others(api: Api, port: int) -> None:
    """Slowloris: many more connections than allowed, each reopened when it is closed."""
    halves = [b"", b"GET /bookings HTTP/1.1\r\nX: y\r\n", b"P"]
    async with measured(f"{10 * MAX_CONNECTIONS} silent connections, {MAX_CONNECTIONS} places"):
        silent = []
        for index in range(10 * MAX_CONNECTIONS):
            reader, writer = await connect(port)
            writer.write(halves[index % len(halves)])
            silent.append((reader, writer))
            if index % 20 == 0:
                assert await is_served(api, port)
        assert await is_served(api, port)
        await asyncio.sleep(0)
        assert sum(not reader.at_eof() for reader, _ in silent) <= MAX_CONNECTIONS
    for _, writer in silent:
        writer.close()


async def test_a_connection_that_was_useful_outlives_silent_ones(api: Api, port: int) -> None:
    reader, writer = await connect(port)

    async def ask() -> bytes:
        writer.write(request_of(api, headers=""))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        return head

    assert (await ask()).startswith(b"HTTP/1.1 200 ")
    silent = [await connect(port) for _ in range(3 * MAX_CONNECTIONS)]
    assert (await ask()).startswith(b"HTTP/1.1 200 ")
    for _, each in (*silent, (reader, writer)):
        each.close()


async def test_a_new_connection_is_refused_when_all_are_busy(
    api: Api, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, read = asyncio.Event(), api.reads.bookings

    async def read_later(*args: Any, **kwargs: Any) -> Any:
        await go_on.wait()
        return await read(*args, **kwargs)

    monkeypatch.setattr(api.reads, "bookings", read_later)
    busy = [asyncio.create_task(exchange(port, request_of(api))) for _ in range(MAX_CONNECTIONS)]
    await asyncio.sleep(0.5)
    assert await exchange(port, request_of(api)) == b""
    go_on.set()
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in await asyncio.gather(*busy))
    assert await is_served(api, port)


async def test_a_client_that_does_not_read_is_cut_off(api: Api, port: int) -> None:
    """A client sends requests and reads no answer. Neither memory nor a task stays."""
    tasks: set[asyncio.Task[Any]] = set(asyncio.all_tasks())
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    async with measured("a client that does not read"), asyncio.timeout(60):
        with pytest.raises(ConnectionError):
            await _send_for_ever(connection, request_of(api, headers="") * 20)
    connection.close()
    left = asyncio.all_tasks() - tasks
    assert not left or not (await asyncio.wait(left, timeout=10))[1]


async def _send_for_ever(connection: socket.socket, raw: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(connection, raw)


async def test_deeply_nested_and_broken_json_delays_no_other_request(api: Api, port: int) -> None:
    raws = [
        request_of(api, "POST /bookings", JSON + f"Content-Length: {len(body)}\r\n", body)
        for body in (b"[" * 60_000, b'{"a":' * 12_000, b'{"destination": ' + b"9" * 60_000 + b"}", b"\xff" * 60_000)
    ]
    async with measured("400 deep and broken bodies"):
        attacks: list[Awaitable[bytes]] = []
        for _ in range(10):
            attacks = [exchange(port, raws[index % 4]) for index in range(MAX_CONNECTIONS // 2)]
            answers = await asyncio.gather(*attacks, return_exceptions=True)
            assert all(isinstance(answer, bytes) and b" 400 " in answer.split(b"\r\n")[0] for answer in answers)
        assert await is_served(api, port)
