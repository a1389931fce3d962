"""The answer of a receiver is limited in time and size, and is never unpacked."""

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil
import pytest

from engine.callbacks.connector import MAX_ANSWER_BYTES
from engine.domain.retry import AttemptOutcome, HttpAnswer, NoAnswer, Trouble
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_sending import send

MIB = 2**20
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DELIVERED = HttpAnswer(200)
MALFORMED = NoAnswer(Trouble.MALFORMED)
# How much the memory of the process may grow. The answers are endless.
MAX_GROWTH = 16 * MIB
# Far longer than any attempt below, which end by size and not by time.
PATIENCE_MS = 60_000


@dataclass
class Hostile:
    """Answers every request with `head` and then repeats `more` until the connection is dropped."""

    head: bytes
    more: bytes
    pause: float = 0.0
    sent: int = 0
    port: int = 0
    conversations: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self.conversations.add(conversation)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            while True:
                writer.write(self.more)
                self.sent += len(self.more)
                await writer.drain()
                await asyncio.sleep(self.pause)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()  # closing would wait until all is sent, and the client no longer reads

    async def end(self) -> None:
        """Collect garbage here: a warning about an open transport must not appear in another test."""
        for conversation in self.conversations:
            conversation.cancel()
        await asyncio.gather(*self.conversations, return_exceptions=True)
        await asyncio.sleep(0)  # time for an aborted transport to close its socket


@asynccontextmanager
async def listening(hostile: Hostile) -> AsyncIterator[Hostile]:
    server = await asyncio.start_server(hostile.answer, "127.0.0.1", 0)
    hostile.port = server.sockets[0].getsockname()[1]
    try:
        yield hostile
    finally:
        server.close()
        await hostile.end()


async def longest_stall(until: asyncio.Event) -> float:
    longest = 0.0
    while not until.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - began - 0.005)
    return longest


async def measured(name: str, url: str, timeout_ms: int = PATIENCE_MS) -> tuple[AttemptOutcome, float]:
    """Send one callback. Returns the outcome and the seconds; prints also memory growth and the longest loop stall."""
    done = asyncio.Event()
    stall = asyncio.create_task(longest_stall(done))
    memory = psutil.Process().memory_info().rss
    began = time.monotonic()
    outcome = await send(url, timeout_ms=timeout_ms)
    took = time.monotonic() - began
    done.set()
    grown = psutil.Process().memory_info().rss - memory
    stalled_ms = await stall * 1000
    print(f"\nW4: {name}: {outcome}, {took:.2f} s, RSS +{grown / MIB:.1f} MiB, stall {stalled_ms:.0f} ms")  # noqa: T201  the figure
    assert grown < MAX_GROWTH
    return outcome, took


ENDLESS = {
    "a body of a gigabyte": (OK + b"Content-Length: 1000000000\r\n\r\n", b"x" * 65_536, DELIVERED),
    "a body without length": (OK + b"\r\n", b"x" * 65_536, DELIVERED),
    "chunks": (CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n", DELIVERED),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n" * 4000, DELIVERED),
    "a chunk extension": (CHUNKED + b"1;", b"x" * 65_536, DELIVERED),
    "answers in advance": (b"", (OK + b"Content-Length: 0\r\n\r\n") * 500, DELIVERED),
    "headers": (OK, b"A: b\r\n" * 1000, DELIVERED),
    "empty headers": (OK, b"A:\r\n" * 1000, DELIVERED),
    "one header": (OK + b"A: ", b"x" * 65_536, DELIVERED),
    "one reason phrase": (b"HTTP/1.1 200 ", b"x" * 65_536, MALFORMED),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n" * 4000, DELIVERED),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, MALFORMED),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 500, MALFORMED),
    "blank lines": (b"", b"\r\n" * 10_000, MALFORMED),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_endless_answer_is_cut_at_the_size_limit(name: str) -> None:
    head, more, expected = ENDLESS[name]
    async with listening(Hostile(head, more)) as hostile:
        outcome, took = await measured(name, hostile.url)
        assert outcome == expected
        assert took * 1000 < PATIENCE_MS / 2
        await asyncio.sleep(0.05)
        assert hostile.sent < 32 * MIB  # bytes in socket buffers


TIMED_OUT = NoAnswer(Trouble.TIMEOUT)
SLOW = {
    "a byte of the status line a second": (b"HTTP/1.1 200 ", b"x", TIMED_OUT),
    "a byte of the head a second": (OK + b"A: ", b"x", DELIVERED),
    "a header a second": (OK, b"A: b\r\n", DELIVERED),
    "an interim answer a second": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", TIMED_OUT),
    "a blank line a second": (b"", b"\r\n", TIMED_OUT),
}


@pytest.mark.parametrize("name", SLOW)
async def test_a_slow_head_is_cut_at_the_timeout(name: str) -> None:
    head, more, expected = SLOW[name]
    async with listening(Hostile(head, more, pause=1.0)) as hostile:
        outcome, took = await measured(name, hostile.url, timeout_ms=1_500)
        assert outcome == expected
        assert 1.4 < took < 10


@pytest.mark.parametrize("head", [OK + b"Content-Length: 100000\r\n\r\n", CHUNKED])
async def test_a_slow_body_does_not_hold_its_slot(head: bytes) -> None:
    more = b"1\r\nx\r\n" if head is CHUNKED else b"x"
    async with listening(Hostile(head, more, pause=0.05)) as hostile:
        outcome, took = await measured("a slow body", hostile.url)
        assert outcome == DELIVERED
        assert took * 1000 < PATIENCE_MS / 2


def bomb(kind: str) -> bytes:
    """A small body that is 50 MiB when unpacked."""
    plain = bytes(50 * MIB)
    return gzip.compress(plain, 9) if kind == "gzip" else zlib.compress(plain, 9)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_compressed_answer_is_never_unpacked(encoding: str) -> None:
    packed = bomb("gzip" if "gzip" in encoding else encoding)
    assert len(packed) < MAX_ANSWER_BYTES
    async with CallbackReceiver() as receiver:
        receiver.answer_with(Answer(200, headers={"Content-Encoding": encoding}, body=packed))
        tracemalloc.start()
        try:
            outcome, _ = await measured(f"a bomb in {encoding}", receiver.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert outcome == DELIVERED
        assert peak < 4 * MIB
        assert receiver.requests[0].headers["Accept-Encoding"] == "identity"


async def test_an_answer_of_the_maximum_length_is_read_whole() -> None:
    async with CallbackReceiver() as receiver:
        receiver.answer_with(Answer(200, body=b"x" * (MAX_ANSWER_BYTES - 1024)))
        assert await send(receiver.url) == DELIVERED
        assert receiver.bytes_sent == MAX_ANSWER_BYTES - 1024


async def test_a_hundred_hostile_receivers_leave_no_memory_or_task_behind() -> None:
    tasks = asyncio.all_tasks()
    async with listening(Hostile(OK + b"Content-Length: 1000000000\r\n\r\n", b"x" * 65_536)) as hostile:
        memory = psutil.Process().memory_info().rss
        outcomes = await asyncio.gather(*(send(hostile.url, timeout_ms=PATIENCE_MS) for _ in range(100)))
        grown = psutil.Process().memory_info().rss - memory
        print(f"\nW4: 100 at once: RSS +{grown / MIB:.1f} MiB")  # noqa: T201  the figure
        assert set(outcomes) == {DELIVERED}
        assert grown < 4 * MAX_GROWTH
        await asyncio.sleep(0.2)
    assert asyncio.all_tasks() <= tasks
