"""Whatever an offer has beside sound, the sound is taken and flows both ways, and every other line is refused.

RFC 3264, section 6: the answer has the lines of the offer in their order, and a refused one has port 0. Section 8: an
offer within a call may add and change lines. A call is never charged without sound.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

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
from tests.e2e.leaks.caller import HOST, SOURCE
from tests.e2e.leaks.media_lines import (
    APPLICATION,
    ENCRYPTED,
    FAX,
    FAX_OVER_TCP,
    KEY,
    MESSAGE,
    OVER_DTLS,
    REFUSED,
    SOUND,
    TEXT,
    UNKNOWN,
    VIDEO,
    WIDE,
    WITH_FEEDBACK,
    WITH_KEY,
)
from tests.e2e.leaks.run import Hidden, LeakSystem
from tests.e2e.leaks.srtp import Srtp, key_in

Lines = tuple[str, ...]
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


FAXES = {"fax": FAX, "fax over TCP": FAX_OVER_TCP}
OTHERS = {"video": VIDEO, "text": TEXT, "message": MESSAGE, "application": APPLICATION, "unknown": UNKNOWN}
CASES = {
    **{f"sound, {name}": Case((SOUND, lines)) for name, lines in (FAXES | OTHERS).items()},
    **{f"{name}, sound": Case((lines, SOUND), 1) for name, lines in OTHERS.items()},
    "all but fax before sound": Case((*OTHERS.values(), SOUND, FAX), len(OTHERS)),
    "all after sound": Case((SOUND, *OTHERS.values(), *FAXES.values())),
    "refused sound, sound": Case((REFUSED, SOUND), 1),
    "sound twice": Case((SOUND, SOUND)),
    "sound of no common codec, sound": Case((WIDE, SOUND), 1),
    "sound with a key": Case((WITH_KEY,)),
    "encrypted sound": Case((ENCRYPTED,)),
    "encrypted sound, sound": Case((ENCRYPTED, SOUND)),
    "sound, encrypted sound": Case((SOUND, ENCRYPTED)),
    "video, encrypted sound, sound": Case((VIDEO, ENCRYPTED, SOUND), 1),
    # Asterisk's own: after the answer it offers the callee a new port for sound, and does not listen there.
    **{f"{name}, sound": Case((lines, SOUND), 1, deaf=True) for name, lines in FAXES.items()},
    "fax, sound, to one who stays": Case((FAX, SOUND), 1, stays=True),
    # Nothing is left that this Asterisk carries.
    "refused sound, fax": Case((REFUSED, FAX), None),
    "fax, refused sound": Case((FAX, REFUSED), None),
    "refused sound": Case((REFUSED,), None),
    "fax alone": Case((FAX,), None),
    "video alone": Case((VIDEO,), None),
    "sound of no common codec": Case((WIDE,), None),
    # Asterisk's own: it refuses a whole offer if it cannot carry the profile of the first line of sound.
    "feedback, sound": Case((WITH_FEEDBACK, SOUND), None),
    "sound, feedback": Case((SOUND, WITH_FEEDBACK)),
    "DTLS, sound": Case((OVER_DTLS, SOUND), None),
    "sound, DTLS": Case((SOUND, OVER_DTLS)),
    "encrypted sound without a key, sound": Case((ENCRYPTED[:-1], SOUND), None),
    # Within a call.
    **{f"later: sound, {name}": Case((SOUND, lines), late=True) for name, lines in (FAXES | OTHERS).items()},
    "later: fax, no sound": Case((REFUSED, FAX), None, late=True),
    "later: fax alone": Case((FAX,), None, late=True),
    # Asterisk's own.
    "later: video in the place of sound": Case((VIDEO, SOUND), 1, late=True, deaf=True),
}
CELLS = [(name, side) for name, case in CASES.items() for side in ("caller", "callee") if case.late or side == "caller"]


@dataclass
class Seen:
    """What one call brought: the final answer to the offer, and whether each side heard the other after it.

    others: the INVITEs that the side which made no offer got after the call's first.
    """

    status: int = 0
    answered: list[str] = field(default_factory=list)
    hears: dict[str, bool] = field(default_factory=lambda: {"caller": False, "callee": False})
    others: list[Message] = field(default_factory=list)


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
            self._encrypt(answer)
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
        await asyncio.gather(_say(self._callee, callee, marks[0]), _say(self._caller, caller, marks[1]))
        await asyncio.sleep(0.1)
        return {
            "caller": any(marks[0] in self._opened(packet) for packet in heard[0]),
            "callee": any(marks[1] in payload_of(packet) for packet in heard[1]),
        }

    def _encrypt(self, answer: Message) -> None:
        """If the answer has a key, the caller's sound is encrypted from now on."""
        keys = [key for block in media_blocks(answer) if (key := key_in(block)) is not None]
        if keys:
            self._caller.seal = Srtp(KEY_OFFERED).seal
            self._opened = Srtp(keys[0]).opened

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


async def _say(media: Media, dialog: Dialog, mark: bytes) -> None:
    described = [towards for each in dialog.messages if (towards := media_of(each)) is not None]
    await media.stream((mark + b" ") * 10, described[-1], 15)


@pytest.fixture(scope="module")
def played(leak_system: LeakSystem) -> Iterator[dict[tuple[str, str], tuple[Seen, list[str]]]]:
    """All calls at once, with the dispositions of their records."""
    with Stage() as stage:
        hidden = {cell: leak_system.hide() for cell in CELLS}
        seen = stage.run(_play_all(leak_system, hidden))
        records = {
            cell: [
                cdr["disposition"]
                for cdr in _records(leak_system, each.service, answered=CASES[cell[0]].late or seen[cell].status == 200)
            ]
            for cell, each in hidden.items()
        }
        yield {cell: (seen[cell], records[cell]) for cell in CELLS}


def _records(system: LeakSystem, service: str, *, answered: bool) -> list[dict[str, object]]:
    if answered:
        system.until(lambda: system.cdrs(service) != [], "the call is recorded")
    return system.cdrs(service)


async def _play_all(system: LeakSystem, hidden: dict[tuple[str, str], Hidden]) -> dict[tuple[str, str], Seen]:
    calls = {cell: OfferCall(CASES[cell[0]], cell[1]) for cell in hidden}
    by_number = {each.number: calls[cell] for cell, each in hidden.items()}

    async def pick_up(dialog: Dialog) -> None:
        assert dialog.invite is not None
        await by_number[user_of(dialog.invite.start_line.split()[1])].answer(dialog)

    room = asyncio.Semaphore(AT_ONCE)

    async def play(cell: tuple[str, str]) -> Seen:
        async with room:
            return await calls[cell].play(carrier, system.asterisk, hidden[cell])

    trunk, carrier = await Peer.open(*system.trunk, pick_up), await Peer.open(HOST)
    try:
        seen = await asyncio.gather(*map(play, hidden))
    finally:
        for peer in (carrier, trunk):
            await peer.close()
    return dict(zip(hidden, seen, strict=True))


@pytest.mark.parametrize(("name", "side"), CELLS)
def test_sound_is_taken_and_everything_else_is_refused(
    played: dict[tuple[str, str], tuple[Seen, list[str]]], name: str, side: str
) -> None:
    case, (seen, records) = CASES[name], played[name, side]
    assert seen.status == (488 if case.taken is None else 200)
    if case.taken is not None:
        assert [line.split()[0] for line in seen.answered] == [lines[0].split()[0] for lines in case.lines]
        assert [n for n, line in enumerate(seen.answered) if line.split()[1] != "0"] == [case.taken]
    # An offer that is refused within a call leaves the call as it was.
    goes_on = case.taken is not None or case.late
    assert seen.hears == {each: goes_on and not (case.deaf and each == side) for each in ("caller", "callee")}
    # The other side is offered sound, and nothing else.
    assert {block[0].split()[0] for invite in seen.others for block in media_blocks(invite)} <= {"m=audio"}
    assert records == (["ANSWERED"] if goes_on else [])
