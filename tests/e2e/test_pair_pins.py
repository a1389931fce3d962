"""PINs of pairs over SIP: a caller whom no carrier vouches for keys in a PIN before any answer, and is put through."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from phones import tone
from phones.messages import Message
from phones.peer import Dialog, Media, Peer, Reply, Stage, media_of, sdp, user_of
from tests.e2e.booking import Booking, fictional_number, import_numbers, share
from tests.e2e.calls import is_charged
from tests.e2e.system import System

SHARED = "+33199000998"
SOURCE = "+33199007777"
PLAN = {"seconds": 120, "calls": 25, "valid_for": 3600}
WRONG = "00000000"
# The operator's own recordings are short, so that a call with three questions does not take long.
OWN_HZ, OWN_SECONDS = 880, 0.3
TALK_SECONDS = 1.2


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    speaking = System(voice=True, language="en", plans={"SMALL": PLAN, "LARGE": PLAN}, longest_call=60)
    for name in ("pin", "pin_wrong", "unknown"):
        recording = speaking.data_dir / "prompts" / "en" / f"{name}.wav"
        recording.parent.mkdir(parents=True, exist_ok=True)
        tone.write(recording, OWN_HZ, OWN_SECONDS)
    with speaking:
        import_numbers(speaking, [SHARED])
        share(speaking, SHARED)
        yield speaking


@dataclass
class Case:
    """A call of a stranger.

    Attributes:
        keys: What the caller keys in each time that it is asked; {first} and {second} are the participants' PINs.
        status: The final answer.
        rings: Whose telephone rings: `first` or `second`; empty for nobody.
        leaves: Whether the caller gives up instead of keying in anything.
    """

    keys: tuple[str, ...]
    status: int
    rings: str = ""
    leaves: bool = False


CASES = {
    "the first one's PIN": Case(("{first}",), 200, "second"),
    "the second one's PIN, in the third attempt": Case((WRONG, "12*4#", "{second}"), 200, "first"),
    "wrong PINs": Case((WRONG, "4071#", "11111111"), 404),
    "no key": Case((), 404),
    "the caller gives up": Case((), 487, leaves=True),
}


@dataclass
class Pair:
    booked: Booking
    numbers: dict[str, str]
    pins: dict[str, str]


def _pair(system: System) -> Pair:
    numbers = {"first": fictional_number(), "second": fictional_number()}
    body = {
        "participants": [{"number": each} for each in numbers.values()],
        "usagePlan": "LARGE",
        "callback": "http://127.0.0.1:9/",
        "pins": True,
    }
    answer = system.request("POST", "/bookings", body)
    assert (answer.status, answer.body["service"]) == (201, SHARED), answer
    pins = {name: each["pin"] for name, each in zip(numbers, answer.body["participants"], strict=True)}
    # No log has a hidden number, nor a PIN.
    system.hidden.update(numbers.values(), pins.values())
    return Pair(Booking(system, answer.body["id"], SHARED, numbers["second"]), numbers, pins)


async def _keyed_in(dialog: Dialog, media: Media, case: Case, pair: Pair) -> Message:
    """Calls, and keys in what the case says while there is no answer. Returns the final one."""
    secrets = [*pair.pins.values(), *(number.strip("+") for number in pair.numbers.values())]
    number = dialog.request("INVITE", body=sdp(media.local))
    early = await dialog.until(lambda each: each.status == 183)
    towards = media_of(early)
    assert towards is not None
    if case.leaves:
        await asyncio.sleep(OWN_SECONDS)
        dialog.cancel()
    for keys in case.keys:
        await asyncio.sleep(OWN_SECONDS + 0.2)
        assert not [each for each in dialog.messages if (each.status or 0) >= 200]
        await media.press(keys.format(**pair.pins), towards)
        await asyncio.sleep(0.5)
    final = await dialog.answered(number)
    assert media.received, "the caller heard the question"
    assert not [each for each in dialog.messages if any(secret in each.text for secret in secrets)]
    return final


async def _call(system: System, case: Case, pair: Pair) -> tuple[Message, list[Message], list[str], float]:
    """Returns the final answer, the INVITEs that arrived at telephones, whom they called, and the seconds of talk."""
    invites: list[Message] = []
    media = [Media.open("127.0.0.1") for _ in range(2)]

    async def take(dialog: Dialog) -> None:
        assert dialog.invite is not None
        invites.append(dialog.invite)
        dialog.answer(Reply(180))
        await asyncio.sleep(0.3)
        dialog.answer(Reply(200, body=sdp(media[1].local)))
        await dialog.requested("ACK")
        await dialog.requested("BYE")

    trunk, carrier = await Peer.open("127.0.0.1", system.trunk_port, take), await Peer.open("127.0.0.1")
    try:
        dialog = await carrier.dialog(SHARED, ("127.0.0.1", system.settings.sip_port), source=SOURCE)
        final = await _keyed_in(dialog, media[0], case, pair)
        answered = time.monotonic()
        if final.status == 200:
            await asyncio.sleep(TALK_SECONDS)
            await dialog.answered(dialog.request("BYE"))
        talked = time.monotonic() - answered
        return final, invites, [user_of(each.start_line.split()[1]) for each in invites], talked
    finally:
        await carrier.close()
        await trunk.close()
        for each in media:
            each.close()


@pytest.mark.parametrize("name", CASES)
def test_a_stranger_with_a_pin_reaches_a_participant_and_pays_from_the_bridge_on(system: System, name: str) -> None:
    case, pair = CASES[name], _pair(system)
    other = "first" if case.rings == "second" else "second"
    began = time.monotonic()
    with Stage() as stage:
        final, invites, rung, talked = stage.run(_call(system, case, pair))
    took = time.monotonic() - began
    assert final.status == case.status
    assert rung == ([pair.numbers[case.rings]] if case.rings else [])
    if not case.rings:
        now = pair.booked.now
        assert (now["secondsRemaining"], now["callsRemaining"]) == (PLAN["seconds"], PLAN["calls"])
        assert took < 15
        return
    # The callee sees the rented number, and nothing of the caller's PIN or numbers.
    [invite] = invites
    assert f"sip:{SHARED}@" in invite.text
    for secret in (*pair.pins.values(), SOURCE, pair.numbers[other]):
        assert secret.strip("+") not in invite.text
    system.until(lambda: [each for each in pair.booked.calls if each["bookingId"] == pair.booked.id] != [], "a record")
    [record] = [each for each in pair.booked.calls if each["bookingId"] == pair.booked.id]
    assert (record["source"], record["destination"]) == (pair.numbers[other], pair.numbers[case.rings])
    assert (record["direction"], is_charged(record["duration"], talked)) == ("pair", True)
    assert pair.booked.now["secondsRemaining"] == PLAN["seconds"] - record["duration"]
