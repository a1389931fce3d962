"""Plays callees that show their number wherever they can, over every kind of trunk, and keeps what the callers got."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from phones.peer import Dialog, Media
from tests.e2e.carriers.system import HOST, CarrierSystem, Line
from tests.e2e.carriers.variants import DOMAIN, VARIANTS, Variant
from tests.e2e.leaks import caller
from tests.e2e.leaks.callee import SOURCE, CalleeScript, Part
from tests.e2e.leaks.caller import Outcome
from tests.e2e.leaks.run import CALLS_A_SECOND
from tests.e2e.leaks.search import Secret, leaks
from tests.e2e.leaks.table import CONTACT, IDENTITY, ROWS, Cell, Column, Request, Row

# A row that shows everything in one call.
EVERYTHING = Row(
    "everything",
    IDENTITY,
    early=6,
    requests=(Request("UPDATE", (*IDENTITY, CONTACT)), Request("INVITE", (*IDENTITY, CONTACT), sdp=True)),
)
[MOVED] = [row for row in ROWS if row.refuses == 302]
CELLS = (
    Cell(EVERYTHING, Column.CALLEE_ENDS),
    Cell(EVERYTHING, Column.CALLER_ENDS),
    Cell(EVERYTHING, Column.REFUSED),
    Cell(EVERYTHING, Column.CANCELLED),
    Cell(MOVED, Column.REFUSED),
)

ACCOUNTS = frozenset(variant.account.user for variant in VARIANTS if variant.account is not None)


@dataclass(frozen=True)
class Played:
    """One call: its trunk, its cell, and what its caller got."""

    variant: Variant
    cell: Cell
    secret: Secret
    outcome: Outcome
    shown_all: bool

    def __str__(self) -> str:
        return f"{self.variant.name}: {self.cell}"

    @property
    def leaks(self) -> list[str]:
        """The places that show the caller the number, the address, or the account and the domain of the trunk."""
        return leaks(self.outcome.shown, self.secret)


def play(system: CarrierSystem, on: Line, cells: Sequence[Cell] = CELLS) -> list[Played]:
    """Plays the cells over every kind of trunk, all at once."""
    parts: dict[str, Part] = {}
    calls = []
    deciding = asyncio.Semaphore(caller.UNDECIDED_AT_ONCE)
    for variant in VARIANTS:
        for cell in cells:
            booked = system.book_over(variant)
            secret = Secret(booked.destination, (booked.service, SOURCE), system.carrier, names=_names(variant))
            part = parts[booked.destination] = Part(cell, secret)
            part.go.set()
            calls.append((variant, booked.service, part))

    async def answer(dialog: Dialog) -> None:
        assert dialog.invite is not None
        part = parts[dialog.invite.start_line.split(":", 1)[1].partition("@")[0]]
        media = Media.open(HOST)
        part.secret.media.append(media.local)
        try:
            await CalleeScript(part, dialog, media).play()
        finally:
            media.close()

    async def one(number: int, variant: Variant, service: str, part: Part) -> Played:
        await asyncio.sleep(number / CALLS_A_SECOND)
        dialog = await on.dialog(variant, service)
        media = Media.open(dialog.wire.local[0])
        try:
            outcome = await caller.play(dialog, media, part, deciding)
        finally:
            media.close()
        return Played(variant, part.cell, part.secret, outcome, part.played.is_set())

    async def all_at_once() -> list[Played]:
        return list(await asyncio.gather(*(one(number, *each) for number, each in enumerate(calls))))

    before, on.carrier.play = on.carrier.play, answer
    try:
        return on.stage.run(all_at_once(), timeout=200)
    finally:
        on.carrier.play = before


def _names(variant: Variant) -> frozenset[str]:
    """The accounts and the domain of the trunks; a line that registers is dialled by the name of its account."""
    return frozenset({DOMAIN}) if "register" in variant.trunk else ACCOUNTS | {DOMAIN}
