"""Plays many cells of the table at once on a real system."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from phones.peer import Packet, Peer, Stage
from tests.e2e.leaks import caller
from tests.e2e.leaks.callee import SOURCE, Callees, Part
from tests.e2e.leaks.caller import Outcome
from tests.e2e.leaks.search import Secret
from tests.e2e.leaks.system import SECURE_HOST, Hidden, LeakSystem
from tests.e2e.leaks.table import Cell, Column

AT_ONCE = 120
CALLS_A_SECOND = 30
BOOK_AT_ONCE = 8
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _options(column: Column) -> dict[str, object]:
    """The fields of a booking whose calls take the way of this column."""
    if column is Column.CLOSED:
        # The day before yesterday, so that midnight may pass during the test.
        day = DAYS[(time.gmtime().tm_wday - 2) % len(DAYS)]
        return {"hours": {"timeZone": "UTC", "open": [{"days": [day], "from": "00:00", "to": "24:00"}]}}
    if column.is_screened:
        return {"screening": "press1", "whisper": True}
    fields = {Column.REVERSE: "reverse", Column.WHISPERED: "whisper", Column.GREETED: "greeting"}
    # Such a call has features that digits begin, and its sound passes through the core of Asterisk.
    fields |= {Column.LIMIT: "beep"}
    return {fields[column]: True} if column in fields else {}


@dataclass(frozen=True)
class Played:
    part: Part
    outcome: Outcome
    host: str

    @property
    def cell(self) -> Cell:
        return self.part.cell

    @property
    def secret(self) -> Secret:
        return self.part.secret

    @property
    def shown_all(self) -> bool:
        return self.part.played.is_set()


class Run:
    """One run of some cells.

    Attributes:
        hosts: The address of each cell's caller; empty for the carrier's address.
        dialled: How many calls each number got, including numbers that belong to no cell.
        strays: What callers received outside of calls.
        in_clear: What the trunk that speaks TLS received over UDP.
    """

    def __init__(self, system: LeakSystem, cells: Sequence[Cell], hosts: Sequence[str] = ()) -> None:
        self._system = system
        self._callees = Callees()
        self.dialled = self._callees.dialled
        self.strays: list[Packet] = []
        self.in_clear: list[Packet] = []
        each = hosts or [SECURE_HOST if cell.transport == "tls" else caller.HOST for cell in cells]
        self._hosts = set(each)
        with ThreadPoolExecutor(BOOK_AT_ONCE) as pool:
            self._parts = dict(pool.map(self._prepare, cells, each))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._deciding = asyncio.Semaphore(caller.UNDECIDED_AT_ONCE)

    def play(self) -> list[Played]:
        lost = [part for part in self._parts if part.cell.column is Column.ENGINE_LOST]
        others = [part for part in self._parts if part.cell.column is not Column.ENGINE_LOST]
        # They take longest and mostly wait.
        slow = (Column.UNANSWERED, Column.UNSCREENED, Column.LIMIT)
        others.sort(key=lambda part: part.cell.column not in slow)
        with Stage() as stage:
            trunk = stage.run(Peer.open(*self._system.trunk, self._callees.play_first))
            second = stage.run(Peer.open(*self._system.second, self._callees.play_second))
            tls = self._system.trunks_tls
            third = stage.run(Peer.open(*self._system.third, self._callees.play_first, tls=tls))
            self._carriers = {host: stage.run(Peer.open(host)) for host in self._hosts}
            for peer in self._carriers.values():
                peer.trusts = self._system.callers_tls
            try:
                return stage.run(self._wave(others), timeout=200) + self._without_engine(stage, lost)
            finally:
                for peer in (*self._carriers.values(), trunk, second, third):
                    stage.run(peer.close())
                self.strays = [packet for peer in self._carriers.values() for packet in peer.strays]
                self.in_clear = third.datagrams

    def _without_engine(self, stage: Stage, parts: Sequence[Part]) -> list[Played]:
        """Plays calls during which the engine is killed, once all of them ring or are answered."""
        if not parts:
            return []
        waiting = stage.start(self._wave(parts))
        stage.run(self._all_up(parts), timeout=200)
        self._system.kill_engine()
        try:
            stage.run(self._go(parts))
            return waiting.result(200)
        finally:
            self._system.start_engine()
            self._system.wait_ready()

    def _prepare(self, cell: Cell, host: str) -> tuple[Part, tuple[Hidden, str]]:
        if cell.column.is_pair:
            return self._prepare_pair(cell, host)
        reverse = cell.column is Column.REVERSE
        hidden = self._system.hide("SMALL" if cell.column is Column.LIMIT else "LARGE", **_options(cell.column))
        dialled = hidden
        if cell.column in (Column.SWAPPED, Column.OLD_NUMBER):
            swapped = self._system.swap(hidden)
            dialled = swapped if cell.column is Column.SWAPPED else hidden
        source, callee_number = (hidden.number, self._system.another_number()) if reverse else (SOURCE, hidden.number)
        part = self._part(cell, Secret(callee_number, (dialled.service, source), self._system.trunk), source)
        if reverse:
            self._callees.busy.add(hidden.number)
        return part, (dialled, host)

    def _part(self, cell: Cell, secret: Secret, source: str) -> Part:
        if cell.is_secure_throughout:
            secret = replace(secret, address=self._system.third)
            self._system.secure(secret.number)
        part = Part(cell, secret, source)
        if cell.column is not Column.ENGINE_LOST:
            part.go.set()
        if not cell.column.calls:
            part.played.set()  # by nobody
        self._callees.parts[secret.number] = part
        return part

    def _prepare_pair(self, cell: Cell, host: str) -> tuple[Part, tuple[Hidden, str]]:
        first, second = self._system.another_number(), self._system.another_number()
        hidden = self._system.pair(first, second, pins=cell.column is Column.PAIR_PIN)
        source, callee_number = (second, first) if cell.column is Column.PAIR_SECOND else (first, second)
        if hidden.pin:
            source = SOURCE
        part = self._part(cell, Secret(callee_number, (hidden.service, source), self._system.trunk), source)
        part.pin = hidden.pin
        return part, (hidden, host)

    async def _wave(self, parts: Sequence[Part]) -> list[Played]:
        async def one(number: int, part: Part) -> Played:
            await asyncio.sleep(number / CALLS_A_SECOND)
            async with self._room:
                return await self._one(part)

        return await asyncio.gather(*(one(number, part) for number, part in enumerate(parts)))

    async def _one(self, part: Part) -> Played:
        hidden, host = self._parts[part]
        asterisk = self._system.asterisk_tls if part.cell.transport == "tls" else self._system.asterisk
        if part.cell.column is Column.REVERSE:
            # Who is called back has called before; the hidden number is not reached.
            await caller.ring_once(self._carriers[host], asterisk, hidden.service, part, self._deciding)
        async with asyncio.TaskGroup() as tasks:
            if part.cell.column is Column.DELETED:
                tasks.create_task(self._delete(part, hidden))
            call = tasks.create_task(caller.dial(self._carriers[host], asterisk, hidden.service, part, self._deciding))
        return Played(part, call.result(), host)

    async def _delete(self, part: Part, hidden: Hidden) -> None:
        try:
            await part.until(part.played if part.cell.talks else part.rung)
        except TimeoutError:
            return  # the test of the cell judges what was played
        answer = await asyncio.to_thread(self._system.request, "DELETE", f"/bookings/{hidden.id}")
        assert answer.status == 204, answer

    @staticmethod
    async def _all_up(parts: Sequence[Part]) -> None:
        """Waits until each call rings or is answered; the test of a cell judges a call that never does."""
        up = (part.until(part.answered if part.cell.talks else part.rung) for part in parts)
        await asyncio.gather(*up, return_exceptions=True)

    @staticmethod
    async def _go(parts: Sequence[Part]) -> None:
        for part in parts:
            part.go.set()
