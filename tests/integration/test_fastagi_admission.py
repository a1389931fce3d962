"""Only a listed address with a valid MAC may ask; other peers cannot disturb it."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agi_scripts import dialplan
from agi_scripts.admission import LINES_PER_SECOND
from agi_scripts.request_auth import request_mac
from tests.contract.samples import CALLER
from tests.contract.world import POOL, World
from tests.integration.database_world import world_on_disk
from tests.integration.fake_asterisk import (
    ALL_OK,
    ALLOWED,
    CALL_ID,
    Ending,
    FastAgi,
    environment,
    fast_agi,
    send_raw,
)
from tests.integration.fake_reports import TOKEN

OURS = [ipaddress.ip_network("127.0.0.1")]
STRANGER = "127.0.0.2"
WHOLE = b"".join(environment("route", (POOL[0], CALLER, ALLOWED)))
HALF = WHOLE[: len(WHOLE) // 2]
# What is asked about a call. A peer that could ask it could learn the hidden number.
QUESTION = (POOL[0], CALLER, ALLOWED)
FORGERIES: dict[str, Callable[[str], bytes]] = {
    "none": lambda good: b"",
    "an empty one": lambda good: b"agi_arg_9: \n",
    "the token itself": lambda good: f"agi_arg_9: {TOKEN}\n".encode(),
    "of another token": lambda good: f"agi_arg_9: {request_mac('another', CALL_ID, 'route', ())}\n".encode(),
    "of another call": lambda good: f"agi_arg_9: {request_mac(TOKEN, 'rn0-9.9', 'route', ())}\n".encode(),
    "in capitals": lambda good: f"agi_arg_9: {good.upper()}\n".encode(),
    "with more behind it": lambda good: f"agi_arg_9: {good}0\n".encode(),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        await world.book()
        yield world


@pytest.fixture
async def agi(world: World) -> AsyncIterator[FastAgi]:
    async with fast_agi(world) as agi:
        yield agi


async def test_an_engine_that_may_not_decide_closes_the_connection_so_that_another_engine_is_asked(
    world: World,
) -> None:
    may_decide = True
    async with fast_agi(world, may_decide=lambda: may_decide) as agi:
        assert (await send_raw(agi.port, WHOLE, ALL_OK)).received.startswith(b"SET VARIABLE ")
        may_decide = False
        assert (await send_raw(agi.port, WHOLE, ALL_OK)).received == b""
    assert [row["call_id"] for row in world.rows("SELECT call_id FROM calls")] == [CALL_ID]


def with_proof(make: Callable[[str], bytes]) -> bytes:
    """Return a genuine request with another MAC."""
    *lines, own, end = environment(dialplan.ROUTE, QUESTION)
    good = own.decode().rpartition(": ")[2].rstrip()
    at = own.partition(b":")[0]
    return b"".join([*lines, make(good).replace(b"agi_arg_9", at), end])


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_no_script_runs_without_a_valid_mac(world: World, forgery: str) -> None:
    refused: list[tuple[str, str, str]] = []

    def note(service: str, event: str, address: str) -> None:
        refused.append((service, event, address))

    async with fast_agi(world, refused=note) as agi:
        await agi.incoming(POOL[0]).run()
        before = world.rows("SELECT * FROM calls")
        parting = await send_raw(agi.port, with_proof(FORGERIES[forgery]))
        assert parting.received == b""
        assert world.rows("SELECT * FROM calls") == before
        assert len(before) == 1
        assert refused == [("AGI", "InvalidPassword", "127.0.0.1")]
        assert TOKEN not in repr(agi.logged)


async def test_the_same_request_with_a_valid_mac_is_answered(agi: FastAgi) -> None:
    await agi.incoming(POOL[0]).run()
    parting = await send_raw(agi.port, with_proof(lambda good: f"agi_arg_9: {good}\n".encode()), ALL_OK)
    assert parting.received.startswith(b"SET VARIABLE ")


async def test_a_refusal_is_logged_with_the_address_and_without_the_request(agi: FastAgi) -> None:
    await send_raw(agi.port, with_proof(FORGERIES["of another token"]))
    [entry] = agi.logged
    assert (entry["event"], entry["kind"], entry["address"]) == ("agi_peer_refused", "InvalidPassword", "127.0.0.1")
    assert set(entry) == {"event", "service", "kind", "address", "log_level"}


async def test_an_unlisted_address_is_refused_on_connect(world: World) -> None:
    refused: list[tuple[str, str, str]] = []

    def note(service: str, event: str, address: str) -> None:
        refused.append((service, event, address))

    async with fast_agi(world, peers=OURS, refused=note) as agi:
        for chunks in ((), (WHOLE,), (b"x" * 100_000,)):
            parting = await send_raw(agi.port, *chunks, source=STRANGER)
            assert parting.received == b""
            assert agi.server.connections == 0
        assert refused == [("AGI", "FailedACL", STRANGER)] * 3
        assert agi.leases() == 0


async def test_a_flood_of_pending_connections_does_not_delay_a_listed_asterisk(world: World) -> None:
    """Refused peers take no place. Peers from the listed address displace only each other."""
    async with fast_agi(world, peers=OURS, max_pending=8, max_conversations=2, read_seconds=60.0) as agi:
        from_elsewhere = [asyncio.create_task(send_raw(agi.port, HALF, source=STRANGER)) for _ in range(50)]
        await asyncio.gather(*from_elsewhere)
        from_here = [asyncio.create_task(send_raw(agi.port, HALF)) for _ in range(50)]
        async with asyncio.timeout(10):
            while sum(task.done() for task in from_here) < 42:  # noqa: ASYNC110  displaced, one by one
                await asyncio.sleep(0.01)
        assert agi.server.connections == 8
        for _ in range(5):
            assert (await agi.incoming(POOL[-1]).run()).variables["RN_VERDICT"] == "REJECT"
        for task in from_here:
            task.cancel()
        await asyncio.gather(*from_here, return_exceptions=True)
        await agi.until_idle()


async def test_the_address_with_the_most_pending_connections_loses_one_first(world: World) -> None:
    async with fast_agi(world, max_pending=4, read_seconds=60.0) as agi:
        quiet = asyncio.create_task(send_raw(agi.port, HALF, WHOLE[len(HALF) :], ALL_OK, pause=0.4))
        await asyncio.sleep(0.05)
        loud = [asyncio.create_task(send_raw(agi.port, HALF, source=STRANGER)) for _ in range(30)]
        assert (await quiet).received.endswith(b',BRIDGE"\n')
        for task in loud:
            task.cancel()
        await asyncio.gather(*loud, return_exceptions=True)


async def test_peers_cannot_fill_the_log(world: World) -> None:
    async with fast_agi(world, peers=OURS) as agi:
        for source, chunks in ((STRANGER, ()), ("127.0.0.1", (b"\n\n",)), ("127.0.0.1", (HALF,))):
            await asyncio.gather(
                *(send_raw(agi.port, *chunks, source=source, then=Ending.CLOSE) for _ in range(5 * LINES_PER_SECOND))
            )
        await agi.until_idle()
        await asyncio.sleep(1.0)
        await send_raw(agi.port, source=STRANGER)
        # At most a few seconds have passed, each with a limited number of lines and one that counts the rest.
        assert len(agi.logged) < 10 * LINES_PER_SECOND
        left_out = sum(entry["suppressed"] for entry in agi.logged if entry["event"] == "agi_warnings_suppressed")
        told = [entry for entry in agi.logged if entry["event"] != "agi_warnings_suppressed"]
        assert left_out + len(told) == 15 * LINES_PER_SECOND + 1
