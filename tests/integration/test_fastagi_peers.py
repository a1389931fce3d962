"""Peers that are no Asterisk, or a broken one: each ends its own connection and harms no other."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agi_scripts.protocol import MAX_BUFFER, AgiProtocol
from agi_scripts.session import MAX_LINES
from tests.contract.samples import CALLER
from tests.contract.test_group_commit import hold
from tests.contract.world import POOL, World, outsider
from tests.integration.fake_asterisk import (
    ALL_OK,
    ALLOWED,
    Ending,
    FastAgi,
    connected,
    environment,
    fast_agi,
    send_raw,
)
from tests.integration.worlds import a_world

# The product's own figure is 2 s.
READ_SECONDS = 0.3
HEADER = environment("route", (POOL[0], CALLER, ALLOWED))
WHOLE = b"".join(HEADER)
HALF = b"".join(HEADER[:9])
TEN_MEGABYTES = [b"agi_long: " + b"x" * 1_000_000] * 10

BAD_PEERS: dict[str, Callable[[int], Awaitable[object]]] = {
    "closes at once": lambda port: send_raw(port, then=Ending.CLOSE),
    "resets at once": lambda port: send_raw(port, then=Ending.RESET),
    "says nothing": send_raw,
    "half a header, then closes": lambda port: send_raw(port, HALF, then=Ending.CLOSE),
    "half a header, then resets": lambda port: send_raw(port, HALF, then=Ending.RESET),
    "half a header, then nothing": lambda port: send_raw(port, HALF),
    "a header of 10 MB": lambda port: send_raw(port, *TEN_MEGABYTES),
    "a byte a second": lambda port: send_raw(port, *(bytes([byte]) for byte in WHOLE[:5]), pause=1.0),
    "another protocol": lambda port: send_raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
}
BAD_HEADERS = {
    "NUL": WHOLE.replace(b"Zo", b"Z\0o"),
    "bad UTF-8 in an argument": WHOLE.replace(CALLER.encode(), b"+\xe9"),
    "bad UTF-8 in the call id": WHOLE.replace(b"agi_uniqueid: ", b"agi_uniqueid: \xe9"),
    "a doubled key": WHOLE.replace(b"agi_type: PJSIP\n", b"agi_type: PJSIP\nagi_type: PJSIP\n"),
    "an argument that a newline in a name has smuggled in": WHOLE.replace(b"Zo", b"Z\nagi_arg_1: +3225550999\n"),
    "a line without a colon": WHOLE.replace(b"agi_type: PJSIP", b"agi_type"),
    "an empty line only": b"\n\n",
    "too many lines": b"".join(b"agi_x%d: 1\n" % index for index in range(MAX_LINES)) + WHOLE,
    "no script": WHOLE.replace(b"agi_network_script", b"agi_other"),
    "no channel": WHOLE.replace(b"agi_channel", b"agi_other"),
    "no call id": WHOLE.replace(b"agi_uniqueid", b"agi_other"),
    "an unknown script": b"".join(environment("../route", (POOL[0],))),
    "an empty script": b"".join(environment("", (POOL[0],))),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as world:
        await world.book()
        yield world


@pytest.fixture
async def agi(world: World) -> AsyncIterator[FastAgi]:
    async with fast_agi(world, read_seconds=READ_SECONDS) as agi:
        yield agi


@pytest.fixture
async def patient(world: World) -> AsyncIterator[FastAgi]:
    """With the product's own figures."""
    async with fast_agi(world) as agi:
        yield agi


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the numbers of its entries, whatever they are


@pytest.mark.parametrize("peer", BAD_PEERS)
async def test_a_bad_peer_is_dropped_in_time_and_nothing_of_it_stays(agi: FastAgi, peer: str) -> None:
    await send_raw(agi.port, then=Ending.CLOSE)
    await agi.until_idle()
    before = open_files()
    began = time.monotonic()
    dropping = asyncio.create_task(asyncio.wait_for(BAD_PEERS[peer](agi.port), 10))
    await asyncio.sleep(0.05)
    await agi.until_idle()
    assert time.monotonic() - began < READ_SECONDS + 10
    await dropping
    async with asyncio.timeout(10):
        while open_files() > before:  # noqa: ASYNC110  nothing that could be waited for
            await asyncio.sleep(0.01)
    assert agi.leases() == 0


@pytest.mark.parametrize("header", BAD_HEADERS)
async def test_a_request_that_is_not_asterisks_is_refused_without_a_command(patient: FastAgi, header: str) -> None:
    parting = await send_raw(patient.port, BAD_HEADERS[header])
    assert parting.received == b""
    assert patient.leases() == 0
    # For what it says, and not because time was up.
    assert {entry["event"] for entry in patient.logged} == {"agi_failed"}


async def test_the_header_of_these_tests_is_a_good_one_before_it_is_broken(agi: FastAgi) -> None:
    parting = await send_raw(agi.port, WHOLE + ALL_OK)
    assert parting.received.endswith(b',BRIDGE"\n')


async def test_bytes_that_are_not_used_need_not_be_utf_8(agi: FastAgi) -> None:
    """RFC 3261 section 19.1.2: a SIP URI may contain every octet, escaped. Asterisk shows some of them as they are."""
    name = WHOLE.replace("é".encode(), b"\xe9").replace(b"agi_type: PJSIP\n", b"agi_type: PJSIP\nagi_rdnis: Jos\xe9\n")
    parting = await send_raw(agi.port, name.replace(b"agi_rdnis: unknown\n", b"") + ALL_OK)
    assert parting.received.endswith(b',BRIDGE"\n')


async def test_a_header_may_be_as_long_as_the_limit_and_no_longer(agi: FastAgi) -> None:
    room = MAX_BUFFER - len(WHOLE) - len("agi_x: \n")
    # asyncio does not count the blank line's two characters.
    for length, accepted in ((room + 2, True), (room + 3, False)):
        header = b"agi_x: " + b"x" * length + b"\n" + WHOLE
        parting = await send_raw(agi.port, header, ALL_OK)
        assert (parting.received != b"") is accepted


async def test_good_calls_are_answered_while_fifty_bad_peers_hang(world: World) -> None:
    async with fast_agi(world, read_seconds=60.0) as agi:
        hanging = [asyncio.create_task(send_raw(agi.port, HALF)) for _ in range(25)]
        hanging += [asyncio.create_task(send_raw(agi.port, *[b"a"] * 100, pause=0.3)) for _ in range(25)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            while agi.server.connections < 50:  # noqa: ASYNC110  nothing that could be waited for
                await asyncio.sleep(0.01)
        for number in range(20):
            began = time.monotonic()
            channel = await agi.incoming(POOL[-1], f"good-{number}").run()
            assert channel.variables["RN_VERDICT"] == "REJECT"
            assert time.monotonic() - began < 10
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_peer_that_closes_early_does_not_stop_the_event_loop(agi: FastAgi) -> None:
    """panoramisk's own handler reads the end of the connection for ever, without a pause."""
    stalls: list[float] = []

    async def tick() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            stalls.append(time.monotonic() - began)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(send_raw(agi.port, HALF, then=Ending.CLOSE) for _ in range(50)))
    await agi.until_idle()
    await asyncio.sleep(0.05)
    ticking.cancel()
    # A frozen loop would never get here; how short a stall is on a busy machine is no matter of pass or fail.
    assert max(stalls) < 10


async def test_more_conversations_than_allowed_are_closed_at_once_and_room_is_given_back(world: World) -> None:
    async with fast_agi(world, max_conversations=3, script_seconds=1.0) as agi:
        held = [asyncio.create_task(send_raw(agi.port, WHOLE)) for _ in range(3)]
        await asyncio.sleep(0.3)
        refused = await send_raw(agi.port, WHOLE)
        assert (refused.received, refused.seconds < 10) == (b"", True)
        assert {"event": "agi_overloaded", "conversations": 3, "log_level": "warning"} in agi.logged
        await asyncio.gather(*held)
        await agi.until_idle()
        assert (await agi.incoming(POOL[-1]).run()).variables["RN_VERDICT"] == "REJECT"


async def test_a_script_that_passes_its_deadline_is_ended(world: World) -> None:
    async with fast_agi(world, script_seconds=0.2) as agi:
        parting = await send_raw(agi.port, WHOLE)
        assert 0.15 < parting.seconds < 1.0
        assert [entry["script"] for entry in agi.logged if entry["event"] == "agi_timeout"] == ["route"]


async def test_a_lease_that_comes_after_the_deadline_is_void(world: World) -> None:
    """The database was locked for longer than the call could wait; the command runs when it is free again."""
    async with fast_agi(world, script_seconds=0.2) as agi:
        with outsider(world.database) as other:
            other.execute("BEGIN IMMEDIATE")
            call = asyncio.create_task(agi.incoming(POOL[0]).run())
            await asyncio.sleep(0.5)
            other.execute("COMMIT")
        assert (await call).variables == {}
        await agi.until_idle()
    assert [row["state"] for row in world.rows("SELECT state FROM calls")] in ([], ["VOIDED"])
    assert agi.leases() == 0


async def test_stop_lets_a_call_end_that_is_under_way_and_takes_no_other(world: World) -> None:
    async with fast_agi(world) as agi:
        async with connected(agi.port) as (reader, writer):
            writer.write(WHOLE)
            verdict = await reader.readline()
            agi.stop.set()
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectionRefusedError):
                await send_raw(agi.port, WHOLE)
            writer.write(ALL_OK)
            assert (verdict.endswith(b',BRIDGE"\n'), await reader.read()) == (True, b"")
        await asyncio.wait_for(agi.serving, 1)
    assert agi.leases() == 1


async def test_stop_ends_what_does_not_end_by_itself(world: World) -> None:
    async with fast_agi(world, script_seconds=0.3) as agi:
        silent = [asyncio.create_task(send_raw(agi.port, HALF)), asyncio.create_task(send_raw(agi.port, WHOLE))]
        await asyncio.sleep(0.1)
        agi.stop.set()
        await asyncio.wait_for(agi.serving, 2)
        assert agi.server.connections == 0
        await asyncio.gather(*silent)
    assert agi.leases() == 1  # its verdict was sent, and may have been heard


async def test_stop_waits_for_each_who_has_begun_to_speak(world: World) -> None:
    async with fast_agi(world, read_seconds=60.0) as agi, connected(agi.port) as first, connected(agi.port) as last:
        for _, writer in (first, last):
            writer.write(HALF)
        async with asyncio.timeout(10):
            while agi.server.connections < 2:  # noqa: ASYNC110  nothing that could be waited for
                await asyncio.sleep(0.01)
        agi.stop.set()
        await asyncio.sleep(0.05)
        for reader, writer in (first, last):
            writer.write(WHOLE[len(HALF) :] + ALL_OK)
            assert (await reader.read()).endswith(b',BRIDGE"\n')


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.SILENT])
async def test_of_a_stranger_that_does_not_finish_one_line_is_logged(agi: FastAgi, ending: Ending) -> None:
    await send_raw(agi.port, HALF, then=ending)
    async with asyncio.timeout(10):
        while not agi.logged or agi.server.connections:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert [entry["event"] for entry in agi.logged] == ["agi_timeout" if ending is Ending.SILENT else "agi_failed"]


async def test_stop_ends_even_what_waits_for_a_database_that_does_not_answer(world: World) -> None:
    async with fast_agi(world, script_seconds=0.3) as agi:
        books = await hold(world.storage)
        waiting = asyncio.create_task(send_raw(agi.port, WHOLE))
        await asyncio.sleep(0.1)
        agi.stop.set()
        await asyncio.wait_for(agi.serving, 5)
        assert agi.server.connections == 0
        await books.release()
        assert (await waiting).received == b""
    assert agi.leases() == 0


async def test_whoever_was_accepted_in_the_moment_of_the_stop_is_turned_away(world: World) -> None:
    """Its connection is made a turn of the event loop later, when nobody would wait for its end any more."""
    async with fast_agi(world) as agi:
        agi.stop.set()
        await agi.serving
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        with peer:
            peer.sendall(WHOLE)
            await asyncio.get_running_loop().create_connection(
                lambda: AgiProtocol(agi.server, READ_SECONDS), sock=accepted
            )
            await agi.until_idle()
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(peer.recv, 1)
        assert agi.leases() == 0
