"""The connection to the manager interface is cut at every moment after a send, and no action is sent twice (F7).

A proxy between the link and the fake Asterisk cuts the connection after a number of bytes of the actions, or of their
answers. `pytest -s` prints figures; AMI_CUTS=1 cuts at every byte.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count, product
from typing import Any, Self

import pytest

from engine.asterisk.errors import AmiUnavailable
from tests.integration.ami_links import linked, until_connected
from tests.integration.fake_ami import FakeAmi
from tests.integration.fake_asterisk import reset
from tests.integration.fake_reports import user_event

EVERY = int(os.environ.get("AMI_CUTS", "9"))
AT_ONCE = 3


class Wire:
    """A proxy. After `cut_after` it passes that many more bytes in one direction, and cuts the connection."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._left: int | None = None
        self._upwards = True
        self._with_reset = False
        self._passing: set[asyncio.Task[Any]] = set()
        self.passed = {True: 0, False: 0}
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def cut_after(self, size: int, *, upwards: bool, with_reset: bool) -> None:
        self._left, self._upwards, self._with_reset = size, upwards, with_reset

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = (writer, far_writer)
        for source, sink, upwards in ((reader, far_writer, True), (far_reader, writer, False)):
            task = asyncio.create_task(self._pass(source, sink, ends, upwards=upwards))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        upwards: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                armed = self._left is not None and self._upwards is upwards
                some = data[: self._left] if armed and self._left is not None else data
                sink.write(some)
                await sink.drain()
                self.passed[upwards] += len(some)
                if armed and self._left is not None:
                    self._left -= len(some)
                    if self._left == 0:
                        self._left = None
                        self.cuts += 1
                        # Lets the bytes arrive before the end of the connection.
                        await asyncio.sleep(0.002)
                        break
        for end in ends:
            if self._with_reset and not end.is_closing():
                reset(end)
            end.close()


@pytest.fixture
async def ami() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as ami:
        yield ami


@pytest.mark.parametrize("with_reset", [False, True])
async def test_an_event_comes_whole_or_not_at_all_wherever_the_connection_is_cut(
    ami: FakeAmi, *, with_reset: bool
) -> None:
    """What is left of an event is never joined with the bytes of the next connection."""
    came: list[str] = []
    async with Wire(ami.port) as wire:
        through = FakeAmi()
        through.port, through.secret = wire.port, ami.secret
        async with linked(
            through, reported=came.append, first_retry_seconds=0.005, longest_retry_seconds=0.01, ping_every_seconds=60
        ) as link:
            size = len(user_event("cut 0000"))
            sizes = [*range(1, size, EVERY), size]
            for number, cut in enumerate(sizes):
                wire.cut_after(cut, upwards=False, with_reset=with_reset)
                await ami.report(f"cut {number:04}")
                await until_connected(link, number + 2)
            await ami.report("whole")
            await link.hang_up("PJSIP/last")
            assert link.connections == len(sizes) + 1
    last = f"cut {len(sizes) - 1:04}"
    # With a reset, the kernel may drop what had arrived.
    assert came in ([last, "whole"], ["whole"] if with_reset else [])


@pytest.mark.parametrize("with_reset", [False, True])
async def test_no_action_is_sent_twice_wherever_the_connection_is_cut(ami: FakeAmi, *, with_reset: bool) -> None:
    names = count()
    asked: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    async with Wire(ami.port) as wire:
        through = FakeAmi()
        through.port, through.secret = wire.port, ami.secret
        async with linked(
            through, first_retry_seconds=0.005, longest_retry_seconds=0.01, ping_every_seconds=60
        ) as link:

            async def hang_up() -> None:
                name = f"PJSIP/{next(names):05}"
                asked[name] += 1
                try:
                    await link.hang_up(name)
                except AmiUnavailable:
                    outcomes["unknown"] += 1
                else:
                    outcomes["done"] += 1

            before = dict(wire.passed)
            await asyncio.gather(*(hang_up() for _ in range(AT_ONCE)))
            sizes = {upwards: wire.passed[upwards] - before[upwards] for upwards in (True, False)}
            each_way = product((True, False), range(1, max(sizes.values()) + 1, EVERY))
            cuts = [(upwards, size) for upwards, size in each_way if size <= sizes[upwards]]
            for number, (upwards, size) in enumerate(cuts):
                wire.cut_after(size, upwards=upwards, with_reset=with_reset)
                await asyncio.gather(*(hang_up() for _ in range(AT_ONCE)))
                await until_connected(link, number + 2)
            await asyncio.gather(*(hang_up() for _ in range(AT_ONCE)))
    came = Counter(action["Channel"] for action in ami.named("Hangup"))
    twice = {name: times for name, times in came.items() if times > 1}
    end = "RST" if with_reset else "FIN"
    figures = f"{wire.cuts} cuts by {end}, {len(asked)} actions, {dict(outcomes)}, {len(came)} came"
    print(f"F7 {figures}: duplicates {len(twice)}")  # noqa: T201
    assert twice == {}
    assert set(came) <= set(asked)
    # Both kinds of cuts occurred: actions lost on the way, and answers lost.
    assert wire.cuts > 20
    assert outcomes["done"] < len(came) < len(asked)
