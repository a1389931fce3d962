"""AGI lines over a real socket: in pieces of any size, and with any end of the connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agi_scripts.errors import BadPeer, CallerGone
from agi_scripts.protocol import END_OF_ENVIRONMENT, MAX_BUFFER, AgiProtocol
from tests.unit.test_agi_session import Listening

ENVIRONMENT = b"agi_network: yes\nagi_type: PJSIP\n\n"
# The most that an event loop takes in one read.
ONE_READ = 256 * 1024


@asynccontextmanager
async def connected(sent_first: bytes = b"") -> AsyncIterator[tuple[AgiProtocol, socket.socket, Listening]]:
    """Yields a protocol, the other end of its connection, and the host that receives the environment."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    host = Listening()
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: AgiProtocol(host, 5.0), sock=ours)
    theirs.send(sent_first)
    if END_OF_ENVIRONMENT in sent_first:
        await asyncio.wait_for(host.heard, 10)
    try:
        yield protocol, theirs, host
    finally:
        protocol.abort()
        theirs.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  no event signals it
            await asyncio.sleep(0)


@pytest.mark.parametrize("cut", range(1, len(ENVIRONMENT)))
async def test_an_environment_is_read_whole_wherever_it_is_split(cut: int) -> None:
    async with connected(ENVIRONMENT[:cut]) as (protocol, theirs, host):
        await until(lambda: len(protocol._buffer) == cut)
        assert not host.heard.done()
        theirs.send(ENVIRONMENT[cut:])
        assert await asyncio.wait_for(host.heard, 10) == ENVIRONMENT


async def test_lines_that_arrive_together_are_read_one_by_one() -> None:
    async with connected(ENVIRONMENT + b"first\nsecond\nthi") as (protocol, theirs, _):
        assert [await protocol.read(), await protocol.read()] == [b"first", b"second"]
        theirs.send(b"rd\n")
        assert await protocol.read() == b"third"


async def test_lines_sent_before_the_close_are_read_before_the_close_is_reported() -> None:
    async with connected(ENVIRONMENT + b"last\nhal") as (protocol, theirs, _):
        theirs.close()
        await until(lambda: protocol._end is not None)
        assert await protocol.read() == b"last"
        with pytest.raises(CallerGone):
            await protocol.read()
        assert not protocol.write("too late")


async def test_a_waiting_reader_learns_of_the_close_at_once() -> None:
    async with connected(ENVIRONMENT) as (protocol, theirs, _):
        reading = asyncio.create_task(protocol.read())
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(CallerGone):
            await asyncio.wait_for(reading, 4)


async def test_the_read_buffer_holds_its_limit_and_not_a_byte_more() -> None:
    async with connected(ENVIRONMENT) as (protocol, theirs, _):
        theirs.send(b"x" * MAX_BUFFER)
        await until(lambda: len(protocol._buffer) == MAX_BUFFER)
        assert protocol.write("still")
        theirs.send(b"x")
        await until(lambda: protocol._end is not None)
        assert not protocol.write("not any more")
        with pytest.raises(BadPeer):
            await protocol.read()


async def test_unread_input_never_exceeds_the_buffer_and_one_read() -> None:
    async with connected(ENVIRONMENT) as (protocol, theirs, _):
        sent = 0
        async with asyncio.timeout(10):
            while sent < 20 * ONE_READ:
                try:
                    sent += theirs.send(b"x" * ONE_READ)
                except BlockingIOError:
                    await asyncio.sleep(0)
        assert len(protocol._buffer) <= MAX_BUFFER + ONE_READ
