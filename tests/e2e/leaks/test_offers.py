"""Whatever an offer has beside sound, the sound is taken and flows both ways, and every other line is refused.

RFC 3264, section 6: the answer has the lines of the offer in their order, and a refused one has port 0. Section 8: an
offer within a call may add and change lines. What Asterisk does otherwise, whatever its settings, is marked: when a
version does better, the test fails, and the line changes.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.asterisk.trunk_sections import OPTIONAL_ENCRYPTION, REQUIRED_ENCRYPTION
from phones.peer import Dialog, media_blocks, media_of
from tests.e2e.leaks.media_lines import (
    APPLICATION,
    ENCRYPTED,
    FAX,
    FAX_OVER_TCP,
    FOREIGN,
    MESSAGE,
    OVER_DTLS,
    REFUSED,
    SOUND,
    TEXT,
    UNKNOWN,
    VIDEO,
    WITH_FEEDBACK,
    WITH_KEY,
)
from tests.e2e.leaks.offers import Case, Cell, Seen, play_offers
from tests.e2e.leaks.scene import Scene, scene
from tests.e2e.leaks.system import LeakSystem

SILENCE = 2

FAXES = {"fax": FAX, "fax over TCP": FAX_OVER_TCP}
OTHERS = {"video": VIDEO, "text": TEXT, "message": MESSAGE, "application": APPLICATION, "unknown": UNKNOWN}
CASES = {
    **{f"sound, {name}": Case((SOUND, lines)) for name, lines in (FAXES | OTHERS).items()},
    **{f"{name}, sound": Case((lines, SOUND), 1) for name, lines in OTHERS.items()},
    "all but fax before sound": Case((*OTHERS.values(), SOUND, FAX), len(OTHERS)),
    "all after sound": Case((SOUND, *OTHERS.values(), *FAXES.values())),
    "refused sound, sound": Case((REFUSED, SOUND), 1),
    "sound twice": Case((SOUND, SOUND)),
    "sound of no common codec, sound": Case((FOREIGN, SOUND), 1),
    "sound with a key": Case((WITH_KEY,)),
    "sound, encrypted sound": Case((SOUND, ENCRYPTED)),
    # Asterisk's own: after the answer it offers the callee a new port for sound, and does not listen there.
    **{f"{name}, sound": Case((lines, SOUND), 1, deaf=True) for name, lines in FAXES.items()},
    "fax, sound, to one who stays": Case((FAX, SOUND), 1, stays=True),
    # Nothing is left that this Asterisk carries.
    "refused sound, fax": Case((REFUSED, FAX), None),
    "fax, refused sound": Case((FAX, REFUSED), None),
    "refused sound": Case((REFUSED,), None),
    "fax alone": Case((FAX,), None),
    "video alone": Case((VIDEO,), None),
    "sound of no common codec": Case((FOREIGN,), None),
    # Asterisk's own: it refuses a whole offer if the profile of the first line of sound is not the endpoint's.
    "encrypted sound, sound": Case((ENCRYPTED, SOUND), None),
    "encrypted sound": Case((ENCRYPTED,), None),
    "feedback, sound": Case((WITH_FEEDBACK, SOUND), None),
    "sound, feedback": Case((SOUND, WITH_FEEDBACK)),
    "DTLS, sound": Case((OVER_DTLS, SOUND), None),
    "sound, DTLS": Case((SOUND, OVER_DTLS)),
    # Within a call.
    **{f"later: sound, {name}": Case((SOUND, lines), late=True) for name, lines in (FAXES | OTHERS).items()},
    "later: fax, no sound": Case((REFUSED, FAX), None, late=True),
    "later: fax alone": Case((FAX,), None, late=True),
    # Asterisk's own.
    "later: video in the place of sound": Case((VIDEO, SOUND), 1, late=True, deaf=True),
}
CELLS = {
    (name, side): case for name, case in CASES.items() for side in ("caller", "callee") if case.late or side == "caller"
}


def _judge(case: Case, seen: Seen, side: str) -> None:
    assert seen.status == (488 if case.taken is None else 200)
    if case.taken is not None:
        assert [line.split()[0] for line in seen.answered] == [lines[0].split()[0] for lines in case.lines]
        assert [n for n, line in enumerate(seen.answered) if line.split()[1] != "0"] == [case.taken]
    # An offer that is refused within a call leaves the call as it was.
    goes_on = case.taken is not None or case.late
    assert seen.hears == {each: goes_on and not (case.deaf and each == side) for each in ("caller", "callee")}
    # The other side is offered sound, and nothing else.
    assert {block[0].split()[0] for invite in seen.others for block in media_blocks(invite)} <= {"m=audio"}
    assert seen.records == (["ANSWERED"] if goes_on else [])


@pytest.fixture(scope="module")
def played(leak_system: LeakSystem) -> dict[Cell, Seen]:
    return play_offers(leak_system, CELLS)


@pytest.mark.parametrize(("name", "side"), CELLS)
def test_sound_is_taken_and_everything_else_is_refused(played: dict[Cell, Seen], name: str, side: str) -> None:
    _judge(CASES[name], played[name, side], side)


class EncryptingSystem(LeakSystem):
    """A system with further carriers that may or must encrypt, over plain SIP, so that these peers can call."""

    def alter(self, etc: Path) -> None:
        with (etc / "pjsip_rented_numbers.conf").open("a") as file:
            for name, (host, options) in ENCRYPTING.items():
                file.write(f"\n[{name}](rented-numbers)\ncontext = rented-numbers\nidentify_by = ip\n")
                file.writelines(f"{option}\n" for option in options)
                file.write(f"[{name}]\ntype = identify\nendpoint = {name}\nmatch = {host}\n")


ENCRYPTING = {"optional": ("127.1.1.1", OPTIONAL_ENCRYPTION), "sdes": ("127.1.1.2", REQUIRED_ENCRYPTION)}
OPTIONAL = {
    "encrypted sound": Case((ENCRYPTED,)),
    "encrypted sound, sound": Case((ENCRYPTED, SOUND)),
    "sound, encrypted sound": Case((SOUND, ENCRYPTED)),
    "video, encrypted sound, sound": Case((VIDEO, ENCRYPTED, SOUND), 1),
    "sound": Case((SOUND,)),
    "sound with a key": Case((WITH_KEY,)),
    "encrypted sound without a key, sound": Case((ENCRYPTED[:-1], SOUND), None),
}
REQUIRED = {
    **OPTIONAL,
    # Asterisk's own: the first line of sound decides.
    "sound, encrypted sound": Case((SOUND, ENCRYPTED), None),
    "sound": Case((SOUND,), None),
}


@pytest.fixture(scope="module")
def encrypting() -> Iterator[EncryptingSystem]:
    with EncryptingSystem(rtp_timeout=SILENCE) as system:
        yield system


@pytest.mark.parametrize(("carrier", "cases"), [("optional", OPTIONAL), ("sdes", REQUIRED)])
def test_encrypted_sound_is_taken_if_its_line_comes_first(
    encrypting: EncryptingSystem, carrier: str, cases: dict[str, Case]
) -> None:
    cells = {(name, "caller"): case for name, case in cases.items()}
    for (name, side), seen in play_offers(encrypting, cells, ENCRYPTING[carrier][0]).items():
        _judge(cases[name], seen, side)
        assert seen.encrypted == (seen.status == 200 and cases[name].lines[cases[name].taken or 0] != SOUND), name


async def _until_cut(on: Scene, dialog: Dialog) -> bool:
    """Lets both sides talk for longer than silence may last. Returns whether the call was cut."""
    sending = []
    for side, media in zip((dialog, on.callee), on.media, strict=True):
        towards = [found for each in side.messages if (found := media_of(each)) is not None][-1]
        sending.append(asyncio.ensure_future(media.stream(b"\xff" * 160, towards, 1000)))
    try:
        await dialog.requested("BYE", SILENCE + 3)
    except TimeoutError:
        return False
    finally:
        for task in sending:
            task.cancel()
    return True


@pytest.mark.parametrize(("lines", "cut"), [((FAX, SOUND), True), ((VIDEO, SOUND), False)], ids=["fax", "video"])
def test_a_call_without_sound_to_the_caller_is_cut_like_a_silent_one(
    encrypting: EncryptingSystem, lines: tuple[tuple[str, ...], ...], cut: bool
) -> None:
    called = encrypting.hide()
    with scene(encrypting) as on:
        dialog, answer = on.call(called.service, lines=lines)
        assert answer.status == 200
        on.quiet()
        assert on.stage.run(_until_cut(on, dialog)) == cut
        on.ask(dialog, "BYE")
    encrypting.until(lambda: encrypting.cdrs(called.service) != [], "the call is recorded")
    if cut:
        assert encrypting.cdrs(called.service)[0]["duration"] <= SILENCE + 2
