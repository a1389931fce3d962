"""Calls with any offer, in the first INVITE or in a later one, in which both sides then talk."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phones.messages import Message
from phones.peer import (
    Dialog,
    Media,
    Packet,
    Peer,
    Policy,
    Reply,
    Stage,
    answer_to,
    media_blocks,
    media_of,
    offer,
    payload_of,
    user_of,
)
from phones.peer.wire import Address
from tests.e2e.leaks.callee import SOURCE
from tests.e2e.leaks.caller import HOST
from tests.e2e.leaks.media_lines import KEY, SOUND
from tests.e2e.leaks.srtp import Srtp, key_in
from tests.e2e.leaks.system import Hidden, LeakSystem

Lines = tuple[str, ...]
# The name of a case, and the side that makes the offer.
Cell = tuple[str, str]
# Fewer than may wait for a decision on one core.
AT_ONCE = 12
KEY_OFFERED = key_in([KEY]) or ""


@dataclass(frozen=True)
class Case:
    """An offer.

    Attributes:
        taken: Which of its lines is answered with a port; None: the answer is 488.
        late: It stands in a re-INVITE. If that is refused, the call goes on as before.
        deaf: Whether the side that offers it, or the caller at the first INVITE, does not hear the other one.
        stays: Whether the callee refuses to follow with a re-INVITE.
    """

    lines: tuple[Lines, ...]
    taken: int | None = 0
    late: bool = False
    deaf: bool = False
    stays: bool = False


@dataclass
class Seen:
    """What one call brought.

    Attributes:
        status: The final answer to the offer.
        answered: The m= lines of that answer.
        hears: Whether each side heard the other afterwards.
        others: The INVITEs that the side which made no offer got after the call's first.
        records: The dispositions of the call's records.
        encrypted: Whether the answer has a key.
    """

    status: int = 0
    answered: list[str] = field(default_factory=list)
    hears: dict[str, bool] = field(default_factory=lambda: {"caller": False, "callee": False})
    others: list[Message] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    encrypted: bool = False


class OfferCall:
    """One call with one offer."""

    def __init__(self, case: Case, side: str) -> None:
        self._case, self._side = case, side
        self._caller, self._callee = Media.open(HOST), Media.open("127.0.0.2")
        self._called: asyncio.Future[Dialog] = asyncio.get_running_loop().create_future()
        self._opened: Callable[[Packet], bytes] = payload_of

    async def answer(self, dialog: Dialog) -> None:
        dialog.policy = self._follow(self._callee, stays=self._case.stays)
        assert dialog.invite is not None
        dialog.answer(Reply(200, body=answer_to(dialog.invite, self._callee.local)))
        self._called.set_result(dialog)

    async def play(self, carrier: Peer, asterisk: Address, hidden: Hidden) -> Seen:
        seen = Seen()
        dialog = await carrier.dialog(hidden.service, asterisk, source=SOURCE)
        dialog.policy = self._follow(self._caller)
        try:
            first = (SOUND,) if self._case.late else self._case.lines
            answer = await dialog.answered(dialog.request("INVITE", (), offer(self._caller.local, first)))
            self._note(seen, answer)
            seen.encrypted = self._encrypt(answer)
            if answer.status == 200:
                await self._talk(dialog, seen)
                await dialog.answered(dialog.request("BYE"))
            return seen
        finally:
            self._caller.close()
            self._callee.close()

    async def _talk(self, dialog: Dialog, seen: Seen) -> None:
        callee = await self._called
        await callee.requested("ACK")
        if self._case.late:
            await self._hear(dialog, callee)
            offering, media = (dialog, self._caller) if self._side == "caller" else (callee, self._callee)
            body = offer(media.local, self._case.lines, version=2)
            self._note(seen, await offering.answered(offering.request("INVITE", (), body)))
        # Long enough for an INVITE by which Asterisk makes the other side follow.
        await asyncio.sleep(0.3)
        seen.hears = await self._hear(dialog, callee)
        invites = [each for each in callee.messages if each.status is None and each.method == "INVITE"][1:]
        seen.others = invites if self._side == "caller" else []
        seen.others += [each for each in dialog.messages if each.status is None and each.method == "INVITE"]

    async def _hear(self, caller: Dialog, callee: Dialog) -> dict[str, bool]:
        """Lets both sides talk, and returns who of them hears what the other says now."""
        marks = (b"from the callee", b"from the caller")
        heard = (self._caller.received, self._callee.received)
        for packets in heard:
            packets.clear()
        callee_sends = _say(self._callee, callee, marks[0], stays=self._case.stays)
        await asyncio.gather(callee_sends, _say(self._caller, caller, marks[1]))
        await asyncio.sleep(0.1)
        return {
            "caller": any(marks[0] in self._opened(packet) for packet in heard[0]),
            "callee": any(marks[1] in payload_of(packet) for packet in heard[1]),
        }

    def _encrypt(self, answer: Message) -> bool:
        """If the answer has a key, the caller's sound is encrypted from now on. Returns whether it has."""
        keys = [key for block in media_blocks(answer) if (key := key_in(block)) is not None]
        if keys:
            self._caller.seal = Srtp(KEY_OFFERED).seal
            self._opened = Srtp(keys[0]).opened
        return keys != []

    @staticmethod
    def _note(seen: Seen, answer: Message) -> None:
        seen.status = answer.status or 0
        seen.answered = [block[0] for block in media_blocks(answer)]

    @staticmethod
    def _follow(media: Media, *, stays: bool = False) -> Policy:
        """Answers an INVITE within the call as RFC 3264 asks for, or refuses it."""

        def follow(_: Dialog, request: Message) -> Reply:
            if request.method != "INVITE":
                return Reply(200)
            return Reply(488) if stays else Reply(200, body=answer_to(request, media.local, version=2))

        return follow


async def _say(media: Media, dialog: Dialog, mark: bytes, *, stays: bool = False) -> None:
    """Sends sound to where the other side wants it, or wanted it at first."""
    described = [towards for each in dialog.messages if (towards := media_of(each)) is not None]
    await media.stream((mark + b" ") * 10, described[0 if stays else -1], 15)


def play_offers(system: LeakSystem, cells: Mapping[Cell, Case], host: str = HOST) -> dict[Cell, Seen]:
    """Plays one call for each case, from this address. The side that its cell names makes the offer."""
    hidden = {cell: system.hide() for cell in cells}
    with Stage() as stage:
        seen = stage.run(_play_all(system, cells, hidden, host))
    for cell, each in hidden.items():
        if cells[cell].late or seen[cell].status == 200:
            system.until(lambda each=each: system.cdrs(each.service) != [], "the call is recorded")  # type: ignore[misc]
        seen[cell].records = [cdr["disposition"] for cdr in system.cdrs(each.service)]
    return seen


async def _play_all(
    system: LeakSystem, cells: Mapping[Cell, Case], hidden: Mapping[Cell, Hidden], host: str
) -> dict[Cell, Seen]:
    calls = {cell: OfferCall(case, cell[1]) for cell, case in cells.items()}
    by_number = {each.number: calls[cell] for cell, each in hidden.items()}
    room = asyncio.Semaphore(AT_ONCE)

    async def pick_up(dialog: Dialog) -> None:
        assert dialog.invite is not None
        await by_number[user_of(dialog.invite.start_line.split()[1])].answer(dialog)

    async def play(cell: Cell) -> Seen:
        async with room:
            return await calls[cell].play(carrier, system.asterisk, hidden[cell])

    trunk, carrier = await Peer.open(*system.trunk, pick_up), await Peer.open(host)
    try:
        return dict(zip(cells, await asyncio.gather(*map(play, cells)), strict=True))
    finally:
        for peer in (carrier, trunk):
            await peer.close()
