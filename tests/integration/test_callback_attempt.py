"""One attempt over real sockets: what is sent, what is made of the answer, and where no socket goes."""

import asyncio
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook
from yarl import URL

from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.guard import AddressForbidden, open_socket
from engine.callbacks.resolver import OwnThreadsResolver
from engine.domain.retry import Answered, AttemptOutcome, NotAnswered, Trouble
from engine.storage.rows import Delivery
from tests.integration.callback_receiver import Answer, CallbackReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"id": "cdr_1",  "name": "caf\u00e9 \\u00e9 \u260e"}'


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


async def send(url: str, *, allow_private: bool = True, timeout_ms: int = 5_000, body: str = BODY) -> AttemptOutcome:
    delivery = Delivery("evt_1", "acc_1", url, body, 1, 0, SECRET)
    async with open_session(allow_private=allow_private, lookups_at_once=2) as session:
        now = time.time_ns() // 1_000_000
        return await attempt(session, delivery, now=now, timeout_ms=timeout_ms, allow_private=allow_private)


async def test_the_body_goes_out_byte_for_byte_and_signed(receiver: CallbackReceiver) -> None:
    assert await send(receiver.url) == Answered(204)
    [request] = receiver.requests
    assert request.body == BODY.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("rented-numbers")
    assert request.headers["Accept-Encoding"] == "identity"
    Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_the_path_and_query_go_out_as_the_customer_wrote_them(receiver: CallbackReceiver) -> None:
    await send(receiver.url + "/a%2Fb/../c?sig=a%2Bb+c%3D&x=%7e")
    assert receiver.requests[0].path == "/callback/a%2Fb/../c?sig=a%2Bb+c%3D&x=%7e"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: CallbackReceiver, status: int) -> None:
    async with CallbackReceiver() as elsewhere:
        receiver.answer_with(Answer(status, headers={"Location": elsewhere.url}))
        assert await send(receiver.url) == Answered(status)
        assert elsewhere.connections == 0


async def test_retry_after_is_read(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(503, headers={"Retry-After": "17"}), Answer(429, headers={"Retry-After": "later"}))
    assert await send(receiver.url) == Answered(503, 17_000)
    assert await send(receiver.url) == Answered(429, None)


async def test_cookies_are_not_kept_between_attempts(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(200, headers={"Set-Cookie": "a=b; Path=/"}))
    delivery = Delivery("evt_1", "acc_1", receiver.url, BODY, 1, 0, SECRET)
    async with open_session(allow_private=True, lookups_at_once=2) as session:
        for _ in range(2):
            await attempt(session, delivery, now=0, timeout_ms=5_000, allow_private=True)
    assert ["Cookie" in request.headers for request in receiver.requests] == [False, False]
    assert receiver.connections == 2


async def test_proxy_variables_are_ignored(receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with CallbackReceiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert await send(receiver.url) == Answered(204)
        assert proxy.connections == 0


async def test_a_receiver_that_does_not_answer_times_out(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(delay=30))
    began = time.monotonic()
    assert await send(receiver.url, timeout_ms=200) == NotAnswered(Trouble.TIMEOUT)
    assert time.monotonic() - began < 10


async def test_a_dropped_connection_and_a_closed_port_are_connection_failures(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(reset=True))
    assert await send(receiver.url) == NotAnswered(Trouble.CONNECTION)
    async with CallbackReceiver() as closed:
        pass
    assert await send(closed.url) == NotAnswered(Trouble.CONNECTION)


async def test_a_name_that_does_not_exist_is_a_connection_failure() -> None:
    assert await send("http://no-such-host.invalid/") == NotAnswered(Trouble.CONNECTION)


async def test_bad_tls_is_told_apart(receiver: CallbackReceiver) -> None:
    assert await send(receiver.url.replace("http:", "https:")) == NotAnswered(Trouble.TLS)
    assert receiver.requests == []


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 10**5, b"\0" * 99],
)
async def test_an_answer_that_is_not_http_is_no_delivery(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"http://127.0.0.1:{port}/")
    server.close()
    assert outcome in (NotAnswered(Trouble.MALFORMED), NotAnswered(Trouble.CONNECTION))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_x", "whsec_\u00e9"])
async def test_an_unusable_secret_is_our_own_error_and_sends_nothing(receiver: CallbackReceiver, secret: str) -> None:
    delivery = Delivery("evt_1", "acc_1", receiver.url, BODY, 1, 0, secret)
    async with open_session(allow_private=True, lookups_at_once=2) as session:
        outcome = await attempt(session, delivery, now=0, timeout_ms=1_000, allow_private=True)
    assert outcome == NotAnswered(Trouble.INTERNAL)
    assert receiver.requests == []


async def test_a_huge_answer_is_cut_off(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(200, body=b"x" * 2**20, times=100))
    assert await send(receiver.url) == Answered(200)
    await asyncio.sleep(0.2)
    assert receiver.bytes_sent < 20 * 2**20  # what the sockets' buffers took, not 100 MiB


async def test_an_endless_answer_does_not_hold_its_slot(receiver: CallbackReceiver) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.05)
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    began = time.monotonic()
    assert await send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_ms=60_000) == Answered(200)
    assert time.monotonic() - began < 10
    server.close()


async def test_a_compressed_bomb_is_never_unpacked(receiver: CallbackReceiver) -> None:
    bomb = gzip.compress(bytes(50 * 2**20), 9)
    assert len(bomb) < 64 * 1024
    receiver.answer_with(Answer(200, headers={"Content-Encoding": "gzip"}, body=bomb))
    async with open_session(allow_private=True, lookups_at_once=1) as session:
        assert not session.auto_decompress
    tracemalloc.start()
    try:
        assert await send(receiver.url) == Answered(200)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 2**20


SPELLINGS_OF_LOOPBACK = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0.0.0.0",  # noqa: S104  connected to, not bound
    "0",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
]


@pytest.mark.parametrize("host", SPELLINGS_OF_LOOPBACK)
async def test_no_spelling_of_loopback_is_connected_to(receiver: CallbackReceiver, host: str) -> None:
    for scheme in ("http", "https"):
        url = receiver.url_on(host).replace("http", scheme, 1)
        assert await send(url, allow_private=False) == NotAnswered(Trouble.FORBIDDEN)
    assert receiver.connections == 0


@pytest.mark.parametrize("host", SPELLINGS_OF_LOOPBACK)
async def test_the_socket_itself_is_guarded_whatever_the_url_looks_like(receiver: CallbackReceiver, host: str) -> None:
    async with open_session(allow_private=False, lookups_at_once=2) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(URL(receiver.url_on(host), encoded=True), data=b"{}")
    assert receiver.connections == 0
    resolver = OwnThreadsResolver(1)
    for address in await resolver.resolve(host, receiver.port):
        with pytest.raises(AddressForbidden):
            open_socket(
                (address["family"], socket.SOCK_STREAM, 0, "", (address["host"], address["port"])), allow_private=False
            )
    await resolver.close()


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["::1", "127.0.0.1"], ["::ffff:127.0.0.1"], ["10.0.0.1", "169.254.169.254", "fe80::1"]],
    ids=str,
)
async def test_a_public_name_that_leads_inside_is_not_connected_to(
    receiver: CallbackReceiver, answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []

    def hostile_name_server(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        lookups.append(host)
        families = [socket.AF_INET6 if ":" in answer else socket.AF_INET for answer in answers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (answer, port))
            for family, answer in zip(families, answers, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", hostile_name_server)
    outcome = await send(f"https://customer.example.com:{receiver.port}/", allow_private=False)
    assert outcome == NotAnswered(Trouble.FORBIDDEN)
    assert lookups == ["customer.example.com"]
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST"])
async def test_allow_private_lets_loopback_through(host: str) -> None:
    async with CallbackReceiver(host if host[0] == "1" else "127.0.0.1") as receiver:
        assert await send(receiver.url_on(host)) == Answered(204)
        assert receiver.connections == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::ffff:127.0.0.1", "10.255.255.1", "169.254.169.254"])  # noqa: S104
async def test_allow_private_opens_loopback_only(receiver: CallbackReceiver, host: str) -> None:
    async with open_session(allow_private=True, lookups_at_once=2) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.post(URL(receiver.url_on(host), encoded=True), data=b"{}")
    assert isinstance(refused.value.os_error, AddressForbidden)
    assert receiver.connections == 0
