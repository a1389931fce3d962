"""Reports that come over the manager interface: floods of them, a gap, and how many a second are taken.

`pytest -s` prints figures.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import quantiles

import pytest
import structlog

from engine.asterisk.ami_connection import AmiConnection, AmiProtocol
from engine.asterisk.ami_link import LinkState
from engine.calls.report_intake import MAX_QUEUED
from engine.domain.account_limits import AccountLimits
from engine.domain.policy import UsagePlan
from tests.contract.samples import START
from tests.contract.world import POOL, World
from tests.integration.ami_links import CHANNEL, FAST, linked, until_state
from tests.integration.database_world import world_on_disk
from tests.integration.engine_parts import EngineParts, WatchedIntake, engine_parts
from tests.integration.fake_ami import FakeAmi
from tests.integration.fake_reports import answered, ended, user_event, wall
from tests.integration.test_ami_flood import MEGABYTE, MOST_GROWTH, resident

FLOOD = 20 * MEGABYTE
GOOD = answered("rn0-1.1", "bkg_1", "rn0-1.2", 60)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        yield world


@pytest.mark.parametrize(
    ("report", "is_ours"), [(GOOD, True), (answered("c", "b", "d", 60, token="another"), False), ("x" * 900, False)]
)
async def test_a_flood_of_reports_fills_neither_memory_nor_log_and_delays_no_action(
    world: World, report: str, *, is_ours: bool
) -> None:
    """The queue is bounded, and what does not fit is counted. The database takes nothing meanwhile."""
    event = user_event(report)
    chunk = event * (65_536 // len(event))
    count = FLOOD // len(event) // (65_536 // len(event)) * (65_536 // len(event))
    with structlog.testing.capture_logs() as logged:
        async with FakeAmi() as ami:
            intake = engine_parts(world, ami, world.database.parent).intake
            async with linked(ami, reported=intake.take, action_seconds=5.0) as link:
                before, slowest = resident(), 0.0
                for _ in range(count // (65_536 // len(event))):
                    await ami.send(chunk)
                    began = time.monotonic()
                    await link.hang_up(CHANNEL)
                    slowest = max(slowest, time.monotonic() - began)
                grown = resident() - before
                assert (link.state, ami.connections) == (LinkState.UP, 1)
    print(f"F6 {count} reports: memory {grown / MEGABYTE:+.1f} MB, slowest action {slowest * 1000:.0f} ms")  # noqa: T201
    assert grown < MOST_GROWTH
    assert len(intake._queue) == (MAX_QUEUED if is_ours else 0)
    assert (intake.dropped, intake.refused) == ((count - MAX_QUEUED, 0) if is_ours else (0, count))
    refusals = [entry for entry in logged if entry["event"] == "report_refused"]
    assert len(refusals) == (0 if is_ours else 1)


def test_an_event_is_taken_once_wherever_the_stream_is_cut_into_packets() -> None:
    came: list[str] = []

    class Protocol(AmiProtocol):
        def __init__(self) -> None:
            super().__init__(Connection(), FAST)  # type: ignore[arg-type]
            self.transport = Open()

    class Connection:
        reported = came.append

    class Open:
        def is_closing(self) -> bool:
            return False

    stream = user_event("first") + user_event("second")
    for cut in range(1, len(stream)):
        came.clear()
        protocol = Protocol()
        protocol.data_received(stream[:cut])
        protocol.data_received(stream[cut:])
        assert came == ["first", "second"], cut
    came.clear()
    protocol = Protocol()
    for byte in stream:
        protocol.data_received(bytes([byte]))
    assert came == ["first", "second"]


@pytest.mark.parametrize(
    ("event", "reports"),
    [
        (user_event("a report"), ["a report"]),
        (user_event(""), [""]),
        (user_event("a report").replace(b"Report: ", b"More: 1\r\nReport: "), ["a report"]),
        (user_event("a report").replace(b"Report: ", b"Report: first\r\nReport: "), ["first"]),
        # Not after the event's name, where the dialplan's fields are: in the channel's snapshot.
        (user_event("own").replace(b"AccountCode: ", b"Report: forged"), ["own"]),
        (user_event("own", "Another"), []),
        (user_event("own").replace(b"Report: ", b"Other: "), []),
        (user_event("own").replace(b"UserEvent\r\n", b"Newexten\r\n", 1), []),
        (user_event("é\udcff".encode("utf-8", "surrogateescape").decode("latin-1")), ["Ã©ÿ"]),
    ],
)
async def test_the_report_is_what_the_dialplan_gave(event: bytes, reports: list[str]) -> None:
    came: list[str] = []
    async with FakeAmi() as ami, linked(ami, reported=came.append) as link:
        await ami.send(event)
        await link.hang_up(CHANNEL)
        assert link.state is LinkState.UP
    assert came == reports


async def test_reports_of_a_gap_are_lost_and_the_link_shows_that_there_was_one() -> None:
    came: list[str] = []
    async with FakeAmi() as ami, linked(ami, reported=came.append) as link:
        assert (link.connections, link.came_up.is_set()) == (1, True)
        link.came_up.clear()
        await ami.report("before")
        await link.hang_up(CHANNEL)
        await ami.stop()
        await until_state(link, LinkState.DOWN)
        await ami.report("meanwhile")
        assert not link.came_up.is_set()
        await ami.start()
        await asyncio.wait_for(link.came_up.wait(), 5)
        await ami.report("after")
        await link.hang_up(CHANNEL)
        assert link.connections == 2
    assert came == ["before", "after"]


async def test_no_report_is_taken_from_a_connection_that_was_given_up() -> None:
    """Its last bytes may be read after its end was decided."""
    came: list[str] = []
    async with FakeAmi() as ami, linked(ami, reported=came.append, ping_every_seconds=60) as link:
        connection: AmiConnection | None = link._connection
        assert connection is not None
        protocol = connection.protocol
        ami.drop()
        await until_state(link, LinkState.DOWN)
        protocol.data_received(user_event("late"))
    assert came == []


@dataclass
class Measured:
    """When reports came that `reporting` sent.

    Attributes:
        delays: Milliseconds from the sending of each report to its place in the queue.
        marks: The first and the last report: the time, and the CPU time of this process.
        sending_seconds: How long the sender took.
    """

    marks: list[tuple[float, float]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    sending_seconds: float = 0.0

    def watched(self, take: Callable[[str], None]) -> Callable[[str], None]:
        def taken(report: str) -> None:
            if not self.marks:
                self.marks = [(time.monotonic(), time.process_time())] * 2
            take(report)
            self.marks[1] = (time.monotonic(), time.process_time())
            self.delays.append((time.monotonic_ns() - int(report.split(" ")[-2])) / 1e6)

        return taken


@asynccontextmanager
async def reporting(world: World, texts: list[str], rate: float) -> AsyncIterator[tuple[EngineParts, Measured]]:
    """A process sends reports to a link, whose intake notes nothing unless the test runs it."""
    sender = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.ami_reporter", "a-secret", str(rate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdin is not None
    assert sender.stdout is not None
    try:
        sender.stdin.write(("\t".join(texts) + "\n").encode())
        ami = FakeAmi()
        ami.port, ami.secret = int(await sender.stdout.readline()), "a-secret"
        parts, measured = engine_parts(world, ami, world.database.parent / "journal"), Measured()
        take = measured.watched(parts.intake.take)
        async with linked(ami, reported=take, ping_every_seconds=60, action_seconds=10) as link:
            await link.hang_up(CHANNEL)  # begins
            yield parts, measured
            measured.sending_seconds = float(await sender.stdout.readline())
    finally:
        sender.stdin.close()
        await sender.wait()


async def until_taken(intake: WatchedIntake, count: int) -> None:
    async with asyncio.timeout(60):
        while intake.taken < count:  # noqa: ASYNC110  a figure, and no event
            await asyncio.sleep(0.005)


async def test_reports_are_taken_far_faster_than_they_come(world: World) -> None:
    texts = [f"answered rn0-1.{number} bkg_{0:032} rn0-2.{number} 60 {wall(START)}" for number in range(MAX_QUEUED)]
    async with reporting(world, texts, 0) as (parts, measured):
        await until_taken(parts.intake, len(texts))
    (began, cpu_before), (done, cpu_after) = measured.marks
    rate, each = len(texts) / (done - began), (cpu_after - cpu_before) / len(texts)
    print(f"F6 from socket to queue: {each * 1e6:.1f} µs CPU a report, {rate:.0f}/s")  # noqa: T201
    assert (len(parts.intake._queue), parts.intake.dropped, parts.intake.refused) == (len(texts), 0, 0)
    assert rate > 1000


async def test_five_hundred_reports_a_second_are_settled_without_falling_behind(world: World) -> None:
    """Answer and end of two hundred calls. Their settling is measured as well, which the queue must not wait for."""
    world.policy = replace(world.policy, account_limits=AccountLimits(calls_at_once=200))
    bookings = [await world.book(UsagePlan.LARGE) for _ in POOL]
    texts = []
    for number in range(200):
        booking = bookings[number % len(bookings)]
        await world.bridge(booking, f"c{number}")
        texts.append(answered(f"c{number}", booking.id, f"c{number}-callee", 60).rpartition(" ")[0])
        texts.append(ended(f"c{number}", booking.id, 1500).rpartition(" ")[0])
    stop = asyncio.Event()
    async with reporting(world, texts, 500) as (parts, measured), asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.intake.run(stop))
        longest = 0
        async with asyncio.timeout(60):
            while parts.intake.noted < len(texts):
                longest = max(longest, len(parts.intake._queue))
                await asyncio.sleep(0.002)
        stop.set()
    centiles = quantiles(measured.delays, n=100)
    print(  # noqa: T201
        f"F6 {len(texts) / measured.sending_seconds:.0f} reports/s: to the queue in {centiles[49]:.1f} ms (p50), "
        f"{centiles[98]:.1f} ms (p99); longest queue {longest}"
    )
    assert {row["duration"] for row in world.rows("SELECT duration FROM cdrs")} == {2}
    assert len(world.rows("SELECT id FROM cdrs")) == 200
    # Twice the rate would fit, on a machine that does nothing else.
    assert longest < len(texts) / 2
