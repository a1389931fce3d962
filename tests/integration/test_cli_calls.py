"""Commands that affect live calls, with the control socket of an engine and a fake Asterisk."""

import asyncio
import os
import pty
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.accounts import create_account
from engine.asterisk.errands import Elsewhere
from engine.control.operator import Operator
from engine.control.server import ControlServer
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.runtime.clock import SystemClock
from tests.contract.samples import CALLER, HIDDEN
from tests.contract.world import World
from tests.integration.cli_runner import Cli
from tests.integration.database_world import world_on_disk
from tests.integration.exchange import Exchange, ami, at_work
from tests.integration.fake_channels import FakeChannels
from tests.programs import ended

__all__ = ["ami"]  # a fixture


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world in the data directory of the command line, at the present time."""
    data = tmp_path / "var"
    data.mkdir(mode=0o700)
    async with world_on_disk(data) as world:
        world.now = SystemClock().now()
        world.policy = replace(world.policy, longest_call_seconds=4 * 3_600)
        yield world


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@asynccontextmanager
async def an_engine(cli: Cli, exchange: Exchange) -> AsyncIterator[None]:
    """The control socket of an engine."""
    operator = Operator(exchange.world.storage, exchange.link, exchange.keeper, exchange.parts.trunks, Elsewhere())
    stop = asyncio.Event()
    task = asyncio.create_task(ControlServer(cli.data, operator.operations()).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


def hung_up(exchange: Exchange) -> list[str]:
    return [action["Channel"] for action in exchange.ami.named("Hangup")]


async def ran(command: Any, *arguments: str) -> Any:
    return await asyncio.to_thread(command, *arguments)


async def test_live_calls_are_shown_with_their_lease_and_without_the_destination(
    world: World, ami: FakeChannels, cli: Cli
) -> None:
    assert await ran(cli.json, "calls", "live") == []
    async with at_work(world, ami) as exchange:
        await exchange.talk(CallId("c1"))
        await exchange.incoming("c2")
        first, second = await ran(cli.json, "calls", "live")
        assert (first["call"], first["state"], second["state"]) == ("c1", "LIVE", "RINGING")
        assert (first["account"], first["booking"]) == ("Ann", exchange.booking.id)
        assert (first["service"], first["source"]) == (exchange.booking.service, CALLER)
        assert [first["mayTalk"], second["mayTalk"]] == list(exchange.leases().values())
        assert second["talking"] is None
        table = await ran(cli, "calls", "live")
        assert HIDDEN[-6:] not in str([first, second]) + table.stdout


async def test_a_call_is_hung_up_through_the_engine(world: World, ami: FakeChannels, cli: Cli) -> None:
    async with at_work(world, ami) as exchange:
        await exchange.talk(CallId("c1"))
        assert "no engine is running" in await ran(cli.refused, "calls", "hangup", "c1")
        async with an_engine(cli, exchange):
            assert "there is no such live call" in await ran(cli.refused, "calls", "hangup", "c9")
            assert await ran(cli.json, "calls", "hangup", "c1") == {"callId": "c1", "ended": True}
            assert hung_up(exchange) == ["c1"]
            await ami.stop()
            assert "Asterisk cannot be reached" in await ran(cli.refused, "calls", "hangup", "c1")


async def test_deleting_a_booking_ends_its_calls_and_no_others(world: World, ami: FakeChannels, cli: Cli) -> None:
    async with at_work(world, ami) as exchange:
        other = await world.book()
        await exchange.talk(CallId("c1"))
        await exchange.incoming("c2")
        await world.bridge(other, "c3")
        async with an_engine(cli, exchange):
            done = await ran(cli.json, "bookings", "delete", exchange.booking.id, "--yes")
        assert (done["id"], done["callsEnded"]) == (exchange.booking.id, 2)
        assert sorted(hung_up(exchange)) == ["c1", "c2"]
        assert (await world.stored(exchange.booking)).gone_at is not None


async def test_closing_an_account_by_force_ends_its_calls_and_no_others(
    world: World, ami: FakeChannels, cli: Cli
) -> None:
    bob = await world.storage.run(create_account, "Bob", world.now)
    async with at_work(world, ami) as exchange:
        other, theirs = await world.book(), await world.book(account=bob.id)
        await exchange.talk(CallId("c1"))
        await exchange.incoming("c2")
        await world.bridge(other, "c3")
        await world.bridge(theirs, "c4")
        async with an_engine(cli, exchange):
            assert "3 calls of it are live" in await ran(cli.refused, "accounts", "close", "Ann", "--yes")
            assert hung_up(exchange) == []
            done = await ran(cli.json, "accounts", "close", "Ann", "--yes", "--force")
        assert (done["state"], done["bookingsEnded"], done["callsEnded"]) == ("CLOSED", 2, 3)
        assert sorted(hung_up(exchange)) == ["c1", "c2", "c3"]
        assert (await world.stored(theirs)).gone_at is None


async def test_without_an_engine_the_calls_of_a_deleted_booking_are_left_to_the_next_engine(
    world: World, cli: Cli
) -> None:
    booking: Booking = await world.book()
    await world.bridge(booking, "c1")
    done = await ran(cli, "bookings", "delete", booking.id, "--yes")
    assert (done.returncode, "1 call could not be ended now" in done.stderr) == (0, True)
    world.now = SystemClock().now()
    assert (await world.sweep()).channels == ["c1"]


async def test_a_renewal_lengthens_live_calls(world: World, ami: FakeChannels, cli: Cli) -> None:
    async with at_work(world, ami) as exchange:
        await exchange.talk(CallId("c1"))
        before = exchange.leases()["c1"]
        async with an_engine(cli, exchange):
            renewed = await ran(cli.json, "bookings", "renew", exchange.booking.id, "--plan", "small")
            assert renewed["usagePlan"] == "SMALL"
            granted = (await world.stored(exchange.booking)).seconds.granted
            await exchange.until_leased(c1=granted)
        assert granted > before


async def test_a_terminal_shows_a_live_table_until_ctrl_c(world: World, cli: Cli) -> None:
    booking = await world.book()
    ours, theirs = pty.openpty()
    environment = cli.settings() | {"TERM": "xterm", "COLUMNS": "200"}
    with ended(
        subprocess.Popen(  # noqa: ASYNC220  ended below
            cli.command("calls", "live"),
            cwd=cli.directory,
            env=environment,
            stdout=theirs,
            stdin=theirs,
            close_fds=True,
        )
    ) as shown:
        try:
            os.close(theirs)
            await until_read(ours, b"no live calls")
            await world.bridge(booking, "1772366400.7")
            await until_read(ours, b"1772366400.7")
            shown.terminate()
            await asyncio.to_thread(shown.wait, 10)
        finally:
            shown.kill()
            os.close(ours)
    assert shown.returncode == 0


async def until_read(terminal: int, text: bytes) -> None:
    seen = b""
    async with asyncio.timeout(30):
        while text not in seen:
            seen += await asyncio.to_thread(os.read, terminal, 65536)
