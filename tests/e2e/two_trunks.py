"""A system with two trunks whose carriers do what a test says, and a caller."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.config.tuning import TRUNK_SILENT_SECONDS
from phones.messages import Message
from phones.peer import Dialog, Media, Peer, Reply, Stage, sdp, uri_of, user_of
from phones.ports import free_port
from tests.e2e.booking import Booking
from tests.e2e.system import System

FIRST, SECOND, CALLER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
SOURCE = "+33199007777"
RING_SECONDS = 6


class TwoTrunks(System):
    """A system whose trunks `first` and `second` have addresses of their own.

    Asterisk also writes what its dialplan keeps about each call's attempts into a file.
    """

    def __init__(
        self,
        first: Mapping[str, object] | None = None,
        second: Mapping[str, object] | None = None,
        more: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Prepares a system. `first` and `second` are further settings of the trunks, `more` are further trunks."""
        self.ports = free_port(), free_port()
        super().__init__(
            trunks=[
                {"name": "first", "uri": f"sip:{FIRST}:{self.ports[0]}", "addresses": [CALLER], **(first or {})},
                {"name": "second", "uri": f"sip:{SECOND}:{self.ports[1]}", **(second or {})},
                *more,
            ],
            ring_timeout=RING_SECONDS,
            trunk_silent=TRUNK_SILENT_SECONDS,
        )

    def alter(self, etc: Path) -> None:
        path = etc / "extensions_rented_numbers.conf"
        text = path.read_text()
        begin = "[rented-numbers-ended]"
        head, _, ended = text.rpartition(f"\n{begin}\n")
        tried = f"Set(FILE({self.attempts_file},,,al,u)=${{RN_TRUNK}} ${{RN_TRIED}} ${{RN_STATUS}})"
        ended = ended.replace("exten => s,1,", f"exten => s,1,{tried}\n same => n,", 1)
        path.write_text(f"{head}\n{begin}\n{ended}")

    @property
    def attempts_file(self) -> Path:
        return self.data_dir / "attempts"

    @property
    def attempts(self) -> list[str]:
        """For each call that has ended, the trunk that it tried last, and the results of all attempts."""
        return self.attempts_file.read_text().splitlines() if self.attempts_file.exists() else []


@dataclass
class Carrier:
    """One carrier.

    Attributes:
        statuses: What it answers each call with, provisional answers first; nothing if it is empty.
        pause: Seconds before each answer.
        invites: The calls that it got.
    """

    statuses: Sequence[int] = ()
    pause: float = 0.0
    invites: list[Dialog] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)

    async def play(self, dialog: Dialog) -> None:
        self.invites.append(dialog)
        self.arrived.append(time.monotonic())
        for status in self.statuses:
            await asyncio.sleep(self.pause)
            if any(each.method == "CANCEL" for each in dialog.messages):
                dialog.answer(Reply(487))
                return
            dialog.answer(Reply(status, body=dialog.sound if status in {183, 200} else None))

    @property
    def dialled(self) -> list[str]:
        return [user_of(dialog.invite.start_line.split()[1]) for dialog in self.invites if dialog.invite]

    @property
    def shown(self) -> list[str]:
        """The callers' numbers."""
        return [user_of(uri_of(dialog.invite.header("From"))) for dialog in self.invites if dialog.invite]


@dataclass
class Call:
    dialog: Dialog
    began: float
    final: Message
    waited: float

    @property
    def status(self) -> int:
        return self.final.status or 0


class Ways:
    """The caller and the carriers around a system."""

    def __init__(self, system: TwoTrunks, stage: Stage) -> None:
        self.system = system
        self.stage = stage
        self.first, self.second = Carrier(), Carrier()
        self._media = stage.run(_media())
        self._tails: tuple[str, ...] = ()
        self._peers: dict[str, Peer] = {}
        self.caller = stage.run(Peer.open(CALLER))

    def open(self, *carriers: Carrier) -> None:
        """Lets carriers listen; the others are dead."""
        for carrier in carriers:
            at = 0 if carrier is self.first else 1
            host = (FIRST, SECOND)[at]

            async def play(dialog: Dialog, carrier: Carrier = carrier) -> None:
                # Asterisk still repeats the INVITE of an earlier test's call that nobody answered.
                if dialog.invite is None or not user_of(dialog.invite.start_line.split()[1]).endswith(self._tails):
                    return
                dialog.sound = sdp(self._media.local)
                await carrier.play(dialog)

            self._peers[host] = self.stage.run(Peer.open(host, self.system.ports[at], play))

    def book(self) -> Booking:
        """Makes a booking; the carriers take the calls to it, and ignore all others."""
        booked = self.system.book("LARGE")
        self._tails = (*self._tails, booked.destination[-7:])
        return booked

    @property
    def invites(self) -> tuple[int, int]:
        """How many calls each carrier got."""
        return len(self.first.invites), len(self.second.invites)

    def call(self, service: str, *, source: str = SOURCE, to: str = "", headers: Sequence[str] = ()) -> Call:
        """Dials a number and hangs up after the answer.

        Args:
            service: The user of the Request-URI.
            source: The user of From.
            to: The header To, or the number in it; empty for the Request-URI's.
            headers: Further headers.
        """
        return self.stage.run(self._call(service, source, to, headers))

    async def _call(self, service: str, source: str, to: str, headers: Sequence[str]) -> Call:
        dialog, number, began = await self.dial(service, source, to, headers)
        final = await dialog.answered(number)
        waited = time.monotonic() - began
        if final.status == 200:
            # A call that ends before Asterisk has bridged it counts as cancelled.
            await asyncio.sleep(0.1)
            await dialog.answered(dialog.request("BYE"))
        return Call(dialog, began, final, waited)

    async def dial(
        self, service: str, source: str = SOURCE, to: str = "", headers: Sequence[str] = ()
    ) -> tuple[Dialog, int, float]:
        asterisk = ("127.0.0.1", self.system.settings.sip_port)
        dialog = await self.caller.dialog(service, asterisk, source=source)
        if to:
            dialog.peer = to if ":" in to else f"<sip:{to}@carrier.example>"
        dialog.sound = sdp(self._media.local)
        return dialog, dialog.request("INVITE", headers, dialog.sound), time.monotonic()

    def attempts(self, booked: Booking, count: int = 1) -> str:
        """Waits for the end of a booking's calls. Returns what the dialplan kept about the last one's attempts."""
        booked.wait_settled(count)
        return self.system.attempts[-1]

    def close(self) -> None:
        for peer in (self.caller, *self._peers.values()):
            self.stage.run(peer.close())

        async def silence() -> None:
            self._media.close()

        self.stage.run(silence())


async def _media() -> Media:
    return Media.open(CALLER)


@contextmanager
def ways(system: TwoTrunks) -> Iterator[Ways]:
    with Stage() as stage:
        opened = Ways(system, stage)
        try:
            yield opened
        finally:
            opened.close()
