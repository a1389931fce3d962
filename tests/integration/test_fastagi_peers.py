"""Bad peers of the FastAGI port end only their own connection."""

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
from tests.integration.database_world import world_on_disk
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

# The product's value is 2 s.
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
    async with world_on_disk(tmp_path) as world:
        await world.book()
        yield world


@pytest.fixture
async def agi(world: World) -> AsyncIterator[FastAgi]:
    async with fast_agi(world, read_seconds=READ_SECONDS) as agi:
        yield agi


@pytest.fixture
async def patient(world: World) -> AsyncIterator[FastAgi]:
    """A server with the product's own timeouts."""
    async with fast_agi(world) as agi:
        yield agi


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the numbers of its entries, whatever they are


@pytest.mark.parametrize("peer", BAD_PEERS)
async def test_a_bad_peer_is_dropped_in_time_and_leaves_nothing(agi: FastAgi, peer: str) -> None:
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
async def test_a_malformed_request_is_refused_without_a_command(patient: FastAgi, header: str) -> None:
    parting = await send_raw(patient.port, BAD_HEADERS[header])
    assert parting.received == b""
    assert patient.leases() == 0
    # Refused for its content, not at a timeout.
    assert {entry["event"] for entry in patient.logged} == {"agi_failed"}


async def test_the_header_is_valid_before_the_tests_break_it(agi: FastAgi) -> None:
    parting = await send_raw(agi.port, WHOLE + ALL_OK)
    assert parting.received.endswith(b',BRIDGE"\n')


async def test_bytes_that_are_not_used_need_not_be_utf_8(agi: FastAgi) -> None:
    """RFC 3261 section 19.1.2: a SIP URI may contain every octet, escaped. Asterisk shows some of them as they are."""
    name = WHOLE.replace("é".encode(), b"\xe9").replace(b"agi_type: PJSIP\n", b"agi_type: PJSIP\nagi_rdnis: Jos\xe9\n")
    parting = await send_raw(agi.port, name.replace(b"agi_rdnis: unknown\n", b"") + ALL_OK)
    assert parting.received.endswith(b',BRIDGE"\n')


async def test_a_header_may_have_the_length_of_the_limit_and_no_more(agi: FastAgi) -> None:
    room = MAX_BUFFER - len(WHOLE) - len("agi_x: \n")
    # asyncio does not count the two line feeds at the end.
    for length, accepted in ((room + 2, True), (room + 3, False)):
        header = b"agi_x: " + b"x" * length + b"\n" + WHOLE
        parting = await send_raw(agi.port, header, ALL_OK)
        assert (parting.received != b"") is accepted


async def test_good_calls_are_answered_during_fifty_bad_connections(world: World) -> None:
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
    """panoramisk's own handler would read the end of the connection in an endless loop."""
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
    # A frozen loop would never get here. The bound is generous, since the machine may be busy.
    assert max(stalls) < 10


async def test_connections_beyond_the_limit_are_closed_and_room_is_freed(world: World) -> None:
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
        assert 0.15 < parting.seconds < 2
        assert [entry["script"] for entry in agi.logged if entry["event"] == "agi_timeout"] == ["route"]


async def test_a_lease_granted_after_the_deadline_is_voided_and_asterisk_does_not_wait_for_that(world: World) -> None:
    """The database is locked for longer than the script may take, and the command runs afterwards."""
    async with fast_agi(world, script_seconds=0.2) as agi:
        with outsider(world.database) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(1.5):
                channel = await agi.incoming(POOL[0]).run()
            other.execute("COMMIT")
        assert channel.variables == {}
        await agi.until_idle()
    assert [row["state"] for row in world.rows("SELECT state FROM calls")] in ([], ["VOIDED"])
    assert agi.leases() == 0


async def test_stop_lets_a_running_script_finish_and_accepts_no_other(world: World) -> None:
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
        await asyncio.wait_for(agi.serving, 5)
    assert agi.leases() == 1


async def test_stop_ends_scripts_that_do_not_finish(world: World) -> None:
    async with fast_agi(world, script_seconds=0.3) as agi:
        silent = [asyncio.create_task(send_raw(agi.port, HALF)), asyncio.create_task(send_raw(agi.port, WHOLE))]
        await asyncio.sleep(0.1)
        agi.stop.set()
        await asyncio.wait_for(agi.serving, 5)
        assert agi.server.connections == 0
        await asyncio.gather(*silent)
    assert agi.leases() == 1  # its verdict was sent, and may have arrived


async def test_stop_waits_for_each_peer_that_has_begun_its_request(world: World) -> None:
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
async def test_an_unfinished_request_is_logged_in_one_line(agi: FastAgi, ending: Ending) -> None:
    await send_raw(agi.port, HALF, then=ending)
    async with asyncio.timeout(10):
        while not agi.logged or agi.server.connections:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert [entry["event"] for entry in agi.logged] == ["agi_timeout" if ending is Ending.SILENT else "agi_failed"]


async def test_stop_ends_scripts_that_wait_for_a_hanging_database(world: World) -> None:
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


async def test_a_connection_accepted_during_the_stop_is_closed(world: World) -> None:
    """asyncio makes its connection a loop turn later, when the server no longer waits for connections."""
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
