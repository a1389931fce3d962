"""Plays many cells of the table at once on a real system."""

import asyncio
import random
import ssl
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from engine.domain.prompts import Language, Prompt, sound_of
from phones import tone
from phones.peer import Packet, Peer, Stage
from phones.ports import free_port
from tests.e2e.booking import import_numbers, share
from tests.e2e.certificates import Authority
from tests.e2e.leaks import callee, caller
from tests.e2e.leaks.callee import SOURCE, Callees, Part
from tests.e2e.leaks.caller import Outcome
from tests.e2e.leaks.search import Secret
from tests.e2e.leaks.table import Cell, Column
from tests.e2e.system import System

AT_ONCE = 120
CALLS_A_SECOND = 30
BOOK_AT_ONCE = 8
# The demo's pool has a hundred numbers, fewer than the table has cells.
MORE_NUMBERS = range(100, 1000)
# Long enough that a callee has shown everything by then, also on a very busy machine.
LIMIT_SECONDS = 12
RING_SECONDS = 12
# Long enough to be heard, and short, because every call to a trunk that cannot be reached waits for it.
PROMPT_SECONDS = 0.3


# The address of callers over TLS.
SECURE_HOST = "127.0.0.5"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class LeakSystem(System):
    """A system whose trunk has an address of its own, so that a caller who receives this address shows a leak.

    Its third trunk speaks TLS and SRTP, and the numbers that `secure` names are called over it.
    """

    rtp_ports = 800

    def __init__(self, *, rtp_timeout: float = 30, rtp_hold_timeout: float = 1800) -> None:
        self.trunk, self.second, self.third = ((callee.HOST, free_port()) for _ in range(3))
        self._certificates = tempfile.TemporaryDirectory(prefix="rn-")
        authority = Authority(Path(self._certificates.name), "authority")
        certificate = authority.issue()
        self.callers_tls = ssl.create_default_context(cafile=authority.file)
        self.trunks_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.trunks_tls.load_cert_chain(authority.issue(callee.HOST))
        secure = {"uri": f"{_uri(self.third)};transport=tls", "addresses": [SECURE_HOST], "media_encryption": "sdes"}
        plan = {"calls": 25, "valid_for": 3600}
        super().__init__(
            trunks=[
                {"name": "main", "uri": _uri(self.trunk), "addresses": [caller.HOST], "asserts_identity": True},
                {"name": "second", "uri": _uri(self.second)},
                {"name": "third", "asserts_identity": True, **secure},
            ],
            sip_tls_port=free_port(),
            sip_tls_certificate=certificate,
            sip_tls_key=certificate,
            sip_tls_ca=authority.file,
            plans={"SMALL": {"seconds": LIMIT_SECONDS, **plan}, "LARGE": {"seconds": 600, **plan}},
            longest_call=60,
            # Long enough that all calls that ring when the engine is killed still ring afterwards.
            ring_timeout=RING_SECONDS,
            rtp_timeout=rtp_timeout,
            rtp_hold_timeout=rtp_hold_timeout,
            voice=True,
        )
        for prompt in Prompt:
            recording = self.data_dir / "prompts" / f"{sound_of(prompt, Language.EN)}.wav"
            recording.parent.mkdir(parents=True, exist_ok=True)
            tone.write(recording, 440, PROMPT_SECONDS)
        # The hidden numbers, each used once, without long runs of zeros.
        suffixes = list(range(1111, 7700))
        random.Random(4).shuffle(suffixes)
        self._hidden = iter(f"+3319900{suffix}" for suffix in suffixes)

    def start(self) -> None:
        super().start()
        import_numbers(self, (f"+331990{number:05}" for number in MORE_NUMBERS))
        # All pairs have this number.
        share(self, f"+331990{MORE_NUMBERS[0]:05}")

    def stop(self) -> None:
        self._certificates.cleanup()
        super().stop()

    @property
    def asterisk(self) -> tuple[str, int]:
        return ("127.0.0.1", self.settings.sip_port)

    @property
    def asterisk_tls(self) -> tuple[str, int]:
        assert self.settings.sip_tls_port is not None
        return ("127.0.0.1", self.settings.sip_tls_port)

    def secure(self, number: str) -> None:
        """Lets a hidden number be called over the trunk with TLS."""
        self.asterisk_console(f"dialplan set global RN_PHONE_{number[1:]} {number}@trunk-third")

    def swap(self, hidden: "Hidden") -> "Hidden":
        """Exchanges the rented number of a booking."""
        answer = self.request("POST", f"/bookings/{hidden.id}/swap-number", {})
        assert answer.status == 200, answer
        return replace(hidden, service=answer.body["service"])

    def hide(self, plan: str = "LARGE", **fields: object) -> "Hidden":
        """Makes a booking with a hidden number that no other booking has."""
        return self.hide_number(self.another_number(), plan, **fields)

    def another_number(self) -> str:
        """Returns a number that nobody has yet."""
        return next(self._hidden)

    def hide_number(self, number: str, plan: str = "LARGE", **fields: object) -> "Hidden":
        body = {"destination": number, "usagePlan": plan, "callback": "http://127.0.0.1:9/", **fields}
        answer = self.request("POST", "/bookings", body)
        assert answer.status == 201, answer
        self.hidden.add(number)
        return Hidden(answer.body["id"], answer.body["service"], number)

    def pair(self, *numbers: str) -> "Hidden":
        """Makes a pair, and returns it with the first participant's number."""
        body = {
            "participants": [{"number": number} for number in numbers],
            "usagePlan": "LARGE",
            "callback": "http://127.0.0.1:9/",
        }
        answer = self.request("POST", "/bookings", body)
        assert answer.status == 201, answer
        self.hidden.update(numbers)
        return Hidden(answer.body["id"], answer.body["service"], numbers[0])


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


def _uri(address: tuple[str, int]) -> str:
    return f"sip:{address[0]}:{address[1]}"


@dataclass(frozen=True)
class Hidden:
    """A booking: its id, its rented number and its hidden number."""

    id: str
    service: str
    number: str


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
    """

    def __init__(self, system: LeakSystem, cells: Sequence[Cell], hosts: Sequence[str] = ()) -> None:
        self._system = system
        self._callees = Callees()
        self.dialled = self._callees.dialled
        self.strays: list[Packet] = []
        each = hosts or [SECURE_HOST if cell.transport == "tls" else caller.HOST for cell in cells]
        self._hosts = set(each)
        with ThreadPoolExecutor(BOOK_AT_ONCE) as pool:
            self._parts = dict(pool.map(self._prepare, cells, each))
        self._room = asyncio.Semaphore(AT_ONCE)

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
        dialled = self._system.swap(hidden) if cell.column.is_swapped else hidden
        if cell.column is Column.OLD_NUMBER:
            dialled = hidden
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
        hidden = self._system.pair(first, second)
        source, callee_number = (first, second) if cell.column is Column.PAIR_FIRST else (second, first)
        part = self._part(cell, Secret(callee_number, (hidden.service, source), self._system.trunk), source)
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
            await caller.ring_once(self._carriers[host], asterisk, hidden.service, part)
        async with asyncio.TaskGroup() as tasks:
            if part.cell.column is Column.DELETED:
                tasks.create_task(self._delete(part, hidden))
            call = tasks.create_task(caller.dial(self._carriers[host], asterisk, hidden.service, part))
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
        for part in parts:
            await part.until(part.answered if part.cell.talks else part.rung)

    @staticmethod
    async def _go(parts: Sequence[Part]) -> None:
        for part in parts:
            part.go.set()
