"""A caller may hang up at any line of any conversation, and Asterisk reports it in several ways.

Each conversation runs once to its end, and is then broken off at every line.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from agi_scripts import dialplan
from agi_scripts.server import scripts
from engine.domain.booking import Booking
from engine.domain.policy import UsagePlan
from tests.contract.test_group_commit import hold
from tests.contract.world import POOL, World
from tests.integration.database_world import world_on_disk
from tests.integration.fake_asterisk import (
    DATA_HANGUP,
    DEAD,
    FAILED,
    HANGUP,
    UNKNOWN_COMMAND,
    USAGE,
    AgiCall,
    Channel,
    Ending,
    FastAgi,
    Reply,
    fast_agi,
    send_raw,
)

WAYS: dict[str, Reply] = {
    "closes": Ending.CLOSE,
    "resets": Ending.RESET,
    "HANGUP": HANGUP,
    "HANGUP and more": HANGUP + b"200 result=1\n",
    "hangup as data": DATA_HANGUP,
    "511": DEAD,
    "510": UNKNOWN_COMMAND,
    "520": USAGE,
    "200 -1": FAILED,
    "half an answer": b"200 resu",
}
# Of these, the ways that say that Asterisk has not carried out the command: the call cannot have been bridged.
NOT_EXECUTED = {"HANGUP", "HANGUP and more", "hangup as data", "511", "510", "520"}


class Exchange:
    """Bookings with credit for many calls, and conversations about them."""

    def __init__(self, agi: FastAgi, bookings: list[Booking]) -> None:
        self.agi = agi
        self.bookings = bookings
        self.booking = bookings[0]
        self.call_id = ""
        self._ids = count()

    def fresh(self) -> str:
        self.call_id = f"rn0-{next(self._ids)}"
        return self.call_id

    async def route(self, call_id: str) -> AgiCall:
        return self.agi.incoming(self.booking.service, call_id)

    async def reject(self, call_id: str) -> AgiCall:
        return self.agi.incoming(POOL[-1], call_id)

    async def repeated(self, call_id: str) -> AgiCall:
        await (await self.route(call_id)).run()
        return self.agi.incoming(self.booking.service, call_id)

    async def settle(self) -> None:
        """Report the end of a call that may have been bridged, as Asterisk does."""
        await self.agi.ended(self.booking, "", "CANCEL", self.call_id)


# The script of each conversation.
CONVERSATIONS: dict[str, tuple[str, Callable[[Exchange, str], Awaitable[AgiCall]]]] = {
    "route, bridged": (dialplan.ROUTE, Exchange.route),
    "route, rejected": (dialplan.ROUTE, Exchange.reject),
    "route, repeated": (dialplan.ROUTE, Exchange.repeated),
}


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with world_on_disk(tmp_path) as world:
        bookings = [await world.book(UsagePlan.LARGE) for _ in POOL[:-1]]
        async with fast_agi(world) as agi:
            yield Exchange(agi, bookings)
        assert all([await all_is_back(world, booking) for booking in bookings])


async def all_is_back(world: World, booking: Booking) -> bool:
    """Return whether nothing is leased and only answered calls were charged."""
    stored = await world.stored(booking)
    [answered] = world.rows(
        "SELECT count(*) AS calls FROM cdrs WHERE disposition = 'ANSWERED' AND booking_id = ?", booking.id
    )
    return (
        stored.calls.leased == stored.seconds.leased == 0
        and stored.calls.remaining == booking.calls.remaining - answered["calls"]
        and stored.seconds.remaining == booking.seconds.remaining - answered["calls"]
    )


def held() -> tuple[int, int]:
    """Count the sockets and tasks of this process."""
    links = [_link(each) for each in os.listdir("/proc/self/fd")]  # noqa: PTH208  the numbers of its entries
    return sum(link.startswith("socket:") for link in links), len(asyncio.all_tasks())


def _link(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  no path, but a name of a socket
    except OSError:
        return ""  # the descriptor that the directory was read with


async def until_held(before: tuple[int, int]) -> None:
    """Wait until sockets and tasks are as few as before. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while held() > before:  # noqa: ASYNC110  nothing that could be waited for
            await asyncio.sleep(0.005)


def names(channel: Channel) -> list[str]:
    return [command.split()[2] for command in channel.commands]


def test_every_script_has_a_conversation(exchange: Exchange) -> None:
    assert {script for script, _ in CONVERSATIONS.values()} == set(scripts(exchange.agi.context))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
async def test_a_hangup_at_any_command_leaves_no_task_socket_or_lease(exchange: Exchange, conversation: str) -> None:
    _, prepare = CONVERSATIONS[conversation]
    whole = await (await prepare(exchange, exchange.fresh())).run()
    await exchange.settle()
    await exchange.agi.until_idle()
    before = held()
    assert whole.commands
    for step in range(len(whole.commands)):
        for way, reply in WAYS.items():
            call = await prepare(exchange, exchange.fresh())
            call.replies = {step: reply}
            channel = await call.run()
            await exchange.agi.until_idle()
            assert len(channel.commands) == step + 1, way
            assert names(channel) == names(whole)[: step + 1], way
            if way in NOT_EXECUTED:
                assert exchange.agi.leases() == 0, way
            await exchange.settle()
            assert exchange.agi.leases() == 0, way
    await until_held(before)


@pytest.mark.parametrize("conversation", CONVERSATIONS)
async def test_silence_at_any_command_leaves_no_task_socket_or_lease(exchange: Exchange, conversation: str) -> None:
    """All run at once, and each ends at the timeout of its script."""
    _, prepare = CONVERSATIONS[conversation]
    whole = await (await prepare(exchange, exchange.fresh())).run()
    await exchange.settle()
    await exchange.agi.until_idle()
    before = held()
    silent = []
    for step in range(len(whole.commands)):
        # A silent script delays the limits of its booking, so each has another booking.
        exchange.booking = exchange.bookings[step % len(exchange.bookings)]
        call = await prepare(exchange, exchange.fresh())
        call.replies = {step: Ending.SILENT}
        silent.append((exchange.call_id, asyncio.create_task(call.run())))
    for step, (call_id, running) in enumerate(silent):
        assert names(await running) == names(whole)[: step + 1]
        exchange.call_id = call_id
        await exchange.settle()
    await exchange.agi.until_idle()
    assert exchange.agi.leases() == 0
    await until_held(before)


@pytest.mark.parametrize("conversation", CONVERSATIONS)
async def test_a_hangup_before_the_first_command_leaves_no_task_socket_or_lease(
    exchange: Exchange, conversation: str
) -> None:
    """After every line of the request. After the whole request the script runs, on a closed connection."""
    _, prepare = CONVERSATIONS[conversation]
    lines = (await prepare(exchange, exchange.fresh())).lines
    await exchange.settle()
    await exchange.agi.until_idle()
    before = held()
    for sent in range(len(lines) + 1):
        for ending in (Ending.CLOSE, Ending.RESET):
            call = await prepare(exchange, exchange.fresh())
            await send_raw(exchange.agi.port, b"".join(call.lines[:sent]), then=ending)
            await exchange.agi.until_idle()
            await exchange.settle()
            assert exchange.agi.leases() == 0, (sent, ending)
    await until_held(before)


async def test_a_hangup_while_storage_is_busy_leaves_no_task_socket_or_lease(exchange: Exchange) -> None:
    """The connection breaks while the script waits for the database, which answers later."""
    before = held()
    books = await hold(exchange.agi.world.storage)
    calls = [
        asyncio.create_task(send_raw(exchange.agi.port, *(await exchange.route(exchange.fresh())).lines, then=ending))
        for ending in [Ending.CLOSE, Ending.RESET] * 10
    ]
    await asyncio.gather(*calls)
    await send_raw(exchange.agi.port, b"\n\n")  # comes last: once it is refused, all others were read
    await books.release()
    await exchange.agi.until_idle()
    assert exchange.agi.leases() == 0
    await until_held(before)
