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
async def a_wire(said: bytes = b"") -> AsyncIterator[tuple[AgiProtocol, socket.socket, Listening]]:
    """Yields a protocol, the other end of its connection, and the host that receives the environment."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    host = Listening()
    _, wire = await asyncio.get_running_loop().create_connection(lambda: AgiProtocol(host, 5.0), sock=ours)
    theirs.send(said)
    if END_OF_ENVIRONMENT in said:
        await asyncio.wait_for(host.heard, 10)
    try:
        yield wire, theirs, host
    finally:
        wire.abort()
        theirs.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  nobody else asks
            await asyncio.sleep(0)


@pytest.mark.parametrize("cut", range(1, len(ENVIRONMENT)))
async def test_an_environment_is_read_whole_wherever_it_is_split(cut: int) -> None:
    async with a_wire(ENVIRONMENT[:cut]) as (wire, theirs, host):
        await until(lambda: len(wire._buffer) == cut)
        assert not host.heard.done()
        theirs.send(ENVIRONMENT[cut:])
        assert await asyncio.wait_for(host.heard, 10) == ENVIRONMENT


async def test_lines_that_arrive_together_are_read_one_by_one() -> None:
    async with a_wire(ENVIRONMENT + b"first\nsecond\nthi") as (wire, theirs, _):
        assert [await wire.read(), await wire.read()] == [b"first", b"second"]
        theirs.send(b"rd\n")
        assert await wire.read() == b"third"


async def test_lines_sent_before_the_close_are_read_before_the_close_is_reported() -> None:
    async with a_wire(ENVIRONMENT + b"last\nhal") as (wire, theirs, _):
        theirs.close()
        await until(lambda: wire._end is not None)
        assert await wire.read() == b"last"
        with pytest.raises(CallerGone):
            await wire.read()
        assert not wire.write("too late")


async def test_a_waiting_reader_learns_of_the_close_at_once() -> None:
    async with a_wire(ENVIRONMENT) as (wire, theirs, _):
        reading = asyncio.create_task(wire.read())
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(CallerGone):
            await asyncio.wait_for(reading, 4)


async def test_the_read_buffer_holds_its_limit_and_not_a_byte_more() -> None:
    async with a_wire(ENVIRONMENT) as (wire, theirs, _):
        theirs.send(b"x" * MAX_BUFFER)
        await until(lambda: len(wire._buffer) == MAX_BUFFER)
        assert wire.write("still")
        theirs.send(b"x")
        await until(lambda: wire._end is not None)
        assert not wire.write("not any more")
        with pytest.raises(BadPeer):
            await wire.read()


async def test_unread_input_never_exceeds_the_buffer_and_one_read() -> None:
    async with a_wire(ENVIRONMENT) as (wire, theirs, _):
        sent = 0
        async with asyncio.timeout(10):
            while sent < 20 * ONE_READ:
                try:
                    sent += theirs.send(b"x" * ONE_READ)
                except BlockingIOError:
                    await asyncio.sleep(0)
        assert len(wire._buffer) <= MAX_BUFFER + ONE_READ
