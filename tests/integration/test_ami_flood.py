"""A faulty manager interface can cost a connection and some memory for a moment, and nothing else.

`pytest -s` prints figures. Each flood has 100 MB.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest
import structlog

from engine.asterisk.ami_connection import AmiLimits
from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.errors import AmiUnavailable
from tests.integration.ami_links import CHANNEL, FAST, linked, until_state
from tests.integration.fake_ami import EVENT, FakeAmi
from tests.integration.fake_reports import user_event

MEGABYTE = 1024 * 1024
FLOOD = 100 * MEGABYTE
# Of the resident memory of the whole process, including the sender's buffers.
MOST_GROWTH = 48 * MEGABYTE

FLOODS: dict[str, bytes] = {
    "events": EVENT % (b"x" * 900),
    "small events": b"Event: x\r\n\r\n",
    "events of another dialplan": user_event("none of ours", "Another"),
    "events that begin like ours": b"Event: UserEvent\r\n" + b"UserEvent: RentedNumbers\r\n" * 2300 + b"\r\n",
    "a line without an end": b"x" * 1000,
    "a message without an end": b"Key: value\r\n" * 80,
    "answers to nothing": b"Response: Success\r\nActionID: unknown\r\n\r\n",
    "messages that are none": b"neither\r\n\r\n",
    "empty messages": b"\r\n\r\n",
}
ITEM = b"Event: Status\r\nActionID: %s\r\nUniqueid: rn0-1.1\r\n" + b"Key%d: value\r\n" * 30 + b"\r\n"
LISTS: dict[str, Callable[[bytes], bytes]] = {
    "a list without an end": lambda id_: ITEM % (id_, *range(30)),
    "a list of huge messages": lambda id_: b"Event: Status\r\nActionID: %s\r\n" % id_ + b"a: b\r\n" * 10_000 + b"\r\n",
    "a list of nothing": lambda id_: b"Event: Status\r\nActionID: %s\r\n\r\n" % id_,
}


class FloodingAmi(FakeAmi):
    """Answers `Status` with 100 MB of messages without an end.

    Attributes:
        item: Makes one message from the action's id.
        peak: The most memory of the process during the flood, in bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.item = LISTS["a list without an end"]
        self.sent = 0
        self.peak = 0

    async def _take(self, raw: str, writer: asyncio.StreamWriter) -> None:
        if "Action: Status\r\n" not in raw:
            await super()._take(raw, writer)
            return
        id_ = raw.partition("ActionID: ")[2].partition("\r\n")[0].encode()
        writer.write(b"Response: Success\r\nActionID: %s\r\nEventList: start\r\n\r\n" % id_)
        await self.pour(self.item(id_), writer)

    async def pour(self, item: bytes, writer: asyncio.StreamWriter) -> None:
        """Send the flood. Raises ConnectionError when the link closes the connection."""
        chunk = item * max(1, 65_536 // len(item))
        for _ in range(FLOOD // len(chunk)):
            writer.write(chunk)
            await writer.drain()
            self.sent += len(chunk)
            self.peak = max(self.peak, resident())


@pytest.fixture
async def ami() -> AsyncIterator[FloodingAmi]:
    async with FloodingAmi() as ami:
        yield ami


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(what: str, ami: FloodingAmi, before: int) -> None:
    sent, grown = ami.sent, max(ami.peak, resident()) - before
    print(f"F6 {what}: {sent / MEGABYTE:.1f} MB taken, resident memory {grown / MEGABYTE:+.1f} MB")  # noqa: T201
    assert grown < MOST_GROWTH


async def pour_to_all(ami: FloodingAmi, item: bytes) -> None:
    with suppress(ConnectionError):
        for writer in tuple(ami._writers.values()):
            await ami.pour(item, writer)


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_the_connection_before_it_fills_memory(ami: FloodingAmi, flood: str) -> None:
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, ping_every_seconds=60) as link:
            before = resident()
            await pour_to_all(ami, FLOODS[flood])
            report(flood, ami, before)
            # This includes bytes in socket buffers that were never read.
            assert ami.sent < 20 * MEGABYTE
            await ami.wait_for("Login", 2)
            await until_state(link, LinkState.UP)
            await link.hang_up(CHANNEL)
    [entry] = [entry for entry in logged if entry["event"] == "ami_protocol_error"]
    assert entry["kind"] == "AmiLimitExceeded"


@pytest.mark.parametrize("kind", LISTS)
async def test_an_endless_list_ends_the_connection_before_it_fills_memory(ami: FloodingAmi, kind: str) -> None:
    ami.item = LISTS[kind]
    async with linked(ami, ping_every_seconds=60, action_seconds=AmiLimits().action_seconds) as link:
        before = resident()
        with pytest.raises(AmiUnavailable):
            await link.list("Status")
        report(kind, ami, before)
        await until_state(link, LinkState.DOWN)
    assert ami.sent < FLOOD


async def test_a_flood_of_events_below_the_limit_does_not_stay_in_memory(ami: FloodingAmi) -> None:
    async with linked(ami, ping_every_seconds=60, action_seconds=60, max_unsolicited=2 * FLOOD) as link:
        before = resident()
        await pour_to_all(ami, FLOODS["events"])
        await link.hang_up(CHANNEL)
        report("events, none dropped", ami, before)
        assert (link.state, ami.connections) == (LinkState.UP, 1)


async def test_each_ping_resets_the_count_of_unsolicited_bytes(ami: FloodingAmi) -> None:
    """Asterisk sends an unexpected message now and then. Over days that is not a flood."""
    async with linked(ami, ping_every_seconds=0.05, max_unsolicited=2000) as link:
        for pings in range(8):
            await ami.send(FLOODS["events"])
            await ami.wait_for("Ping", len(ami.named("Ping")) + 2)
            assert link.state is LinkState.UP, pings
        assert ami.connections == 1
        await ami.send(b"".join(repeat(FLOODS["events"], 3)))
        await ami.wait_for("Login", 2)


async def test_a_genuine_list_of_many_calls_is_within_the_limits(ami: FloodingAmi) -> None:
    """Five thousand calls of two channels each."""

    class Genuine(FloodingAmi):
        async def pour(self, item: bytes, writer: asyncio.StreamWriter) -> None:
            for _ in range(100):
                writer.write(item * 100)
                await writer.drain()
                self.sent += len(item) * 100
                self.peak = max(self.peak, resident())
            writer.write(item.replace(b"Event: Status", b"Event: StatusComplete"))

    async with Genuine() as asterisk, linked(asterisk, ping_every_seconds=60, action_seconds=60) as link:
        before = resident()
        listed = await link.list("Status")
        assert (len(listed), listed[1].uniqueid, listed[1].key1) == (10_002, "rn0-1.1", "")
        report("a genuine list of 10,000 channels", asterisk, before)


async def test_a_half_open_connection_is_detected_within_two_pings_and_replaced() -> None:
    """AMI_LIMITS=product measures with the product's own limits."""
    limits = AmiLimits() if os.environ.get("AMI_LIMITS") == "product" else replace(FAST, action_seconds=2.0)
    async with FakeAmi() as ami:
        link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret, limits=replace(limits))
        stop = asyncio.Event()
        running = asyncio.create_task(link.run(stop))
        await until_state(link, LinkState.UP)
        ami.silent = True
        began = asyncio.get_running_loop().time()
        await until_state(link, LinkState.DOWN)
        noticed = asyncio.get_running_loop().time() - began
        pings = len(ami.named("Ping"))
        ami.silent = False
        await until_state(link, LinkState.UP)
        stop.set()
        await running
        print(f"F6 half-open: noticed after {noticed:.2f} s and {pings} pings, {limits.ping_every_seconds} s apart")  # noqa: T201
        assert pings <= 2
        assert ami.connections > 1
