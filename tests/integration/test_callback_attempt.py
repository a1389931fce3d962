"""One attempt over real sockets: the request, and the outcome for each kind of answer."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from engine.callbacks.attempt import attempt, open_session
from engine.domain.ids import AccountId
from engine.domain.retry import HttpAnswer, NoAnswer, Trouble
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery
from engine.storage.webhook_secrets import SigningSecrets
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_sending import BODY, DEMO, SECRET, send


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


async def test_the_body_goes_out_byte_for_byte_and_signed(receiver: CallbackReceiver) -> None:
    assert await send(receiver.url) == HttpAnswer(204)
    [request] = receiver.requests
    assert request.body == BODY.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("rented-numbers")
    assert request.headers["Accept-Encoding"] == "identity"
    Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_the_path_and_query_go_out_as_the_customer_wrote_them(receiver: CallbackReceiver) -> None:
    await send(receiver.url + "/a%2Fb/../c?sig=a%2Bb+c%3D&x=%7e")
    assert receiver.requests[0].path == "/callback/a%2Fb/../c?sig=a%2Bb+c%3D&x=%7e"


async def test_retry_after_is_read(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(503, headers={"Retry-After": "17"}), Answer(429, headers={"Retry-After": "later"}))
    assert await send(receiver.url) == HttpAnswer(503, 17_000)
    assert await send(receiver.url) == HttpAnswer(429, None)


async def test_cookies_are_not_kept_between_attempts(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(200, headers={"Set-Cookie": "a=b; Path=/"}))
    delivery = Delivery("evt_1", AccountId("acc_1"), receiver.url, BODY, 1, 1, EpochMs(0), SigningSecrets(SECRET))
    async with open_session(rules=DEMO, lookups_at_once=2) as session:
        for _ in range(2):
            await attempt(session, delivery, now=EpochMs(0), timeout_ms=5_000, rules=DEMO)
    assert ["Cookie" in request.headers for request in receiver.requests] == [False, False]
    assert receiver.connections == 2


async def test_a_receiver_that_does_not_answer_times_out(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(delay=30))
    began = time.monotonic()
    assert await send(receiver.url, timeout_ms=200) == NoAnswer(Trouble.TIMEOUT)
    assert time.monotonic() - began < 10


async def test_a_dropped_connection_and_a_closed_port_are_connection_failures(receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(reset=True))
    assert await send(receiver.url) == NoAnswer(Trouble.CONNECTION)
    async with CallbackReceiver() as closed:
        pass
    assert await send(closed.url) == NoAnswer(Trouble.CONNECTION)


async def test_a_name_that_does_not_exist_is_a_connection_failure() -> None:
    assert await send("http://no-such-host.invalid/") == NoAnswer(Trouble.CONNECTION)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"HTTP/1.1 200 " + b"b" * 10**5, b"\0" * 99],
)
async def test_an_answer_that_is_not_http_is_a_failed_attempt(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"http://127.0.0.1:{port}/")
    server.close()
    assert outcome in (NoAnswer(Trouble.MALFORMED), NoAnswer(Trouble.CONNECTION))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_x", "whsec_\u00e9"])
async def test_an_unusable_secret_is_our_own_error_and_sends_nothing(receiver: CallbackReceiver, secret: str) -> None:
    outcome = await send(receiver.url, secret=secret)
    assert outcome == NoAnswer(Trouble.INTERNAL)
    assert receiver.requests == []
