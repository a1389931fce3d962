"""Bookings whose callee hears what the call is, and must press 1: nothing is charged before, and nothing is heard."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from phones import prompts, tone
from phones.baresip import Baresip
from phones.peer import Dialog, Media, Peer, Reply, Stage, media_of, sdp, user_of
from tests.e2e.booking import Booking
from tests.e2e.calls import HEARD_SECONDS, LATE_SECONDS, is_charged
from tests.e2e.system import System

SOURCE = "+33199007777"
CALLER_HZ, CALLEE_HZ = 440, 620
# The operator's own recordings in German are short, so that a call whose callee presses no key does not take long.
OWN_HZ, OWN_SECONDS = 880, 0.3
PLAN = {"seconds": 120, "calls": 25, "valid_for": 3600}
TALK_SECONDS = 2.2


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    # A greeting of seven seconds is heard while it rings.
    speaking = System(voice=True, language="en", plans={"SMALL": PLAN, "LARGE": PLAN}, longest_call=60, ring_timeout=20)
    for name in ("whisper", "press1"):
        recording = speaking.data_dir / "prompts" / "de" / f"{name}.wav"
        recording.parent.mkdir(parents=True, exist_ok=True)
        tone.write(recording, OWN_HZ, OWN_SECONDS)
    with speaking:
        yield speaking


def _book(system: System, **fields: Any) -> Booking:
    booked = system.book("LARGE")
    assert system.request("PATCH", f"/bookings/{booked.id}", fields).status == 200
    return booked


def _callee(system: System, booked: Booking, record: Path | None = None) -> Baresip:
    """The hidden number's telephone, or its voicemail box: it answers at once and speaks."""
    return Baresip(
        "network",
        numbers=[booked.destination],
        port=system.trunk_port,
        answer="auto",
        tone=CALLEE_HZ,
        record=record,
    )


def _credit(booked: Booking) -> tuple[int, int]:
    now = booked.now
    return now["secondsRemaining"], now["callsRemaining"]


def test_the_callee_hears_the_announcement_and_seconds_count_from_the_key(system: System, tmp_path: Path) -> None:
    booked = _book(system, whisper=True, screening="press1", language="nl")
    seconds, calls = _credit(booked)
    heard = {who: tmp_path / f"{who}.wav" for who in ("callee", "caller")}
    said = ("nl/whisper", "nl/press1")
    with (
        _callee(system, booked, heard["callee"]) as callee,
        Baresip(SOURCE, server=system.sip, tone=CALLER_HZ, record=heard["caller"]) as caller,
    ):
        caller.dial(booked.service)
        callee.wait_established()
        time.sleep(sum(len(prompts.decoded(each)) for each in said) / tone.RATE + 2)  # four seconds of silence follow
        callee.press("1")
        caller.wait_established()
        time.sleep(TALK_SECONDS)
        caller.hangup()
        talked = caller.wait_closed().talked
        callee.wait_closed()
    [record] = booked.wait_settled()
    assert (record["disposition"], record["hungUpBy"]) == ("ANSWERED", "CALLER")
    assert is_charged(record["duration"], talked)
    assert _credit(booked) == (seconds - record["duration"], calls - 1)
    # The callee heard both sentences, and the caller no longer than the talk; the caller heard nothing but the talk.
    fits = [fit for _, _, fit in prompts.heard(heard["callee"], said)]
    assert min(fits) > prompts.FITS, fits
    for who, hz in (("callee", CALLER_HZ), ("caller", CALLEE_HZ)):
        assert HEARD_SECONDS < tone.seconds_of(heard[who], hz) < talked + LATE_SECONDS, who
    assert tone.duration(heard["caller"]) < talked + LATE_SECONDS


@dataclass
class Case:
    """A call whose callee answers at once.

    Attributes:
        keys: What the callee presses.
        leaves: Who ends the call in the announcement: `callee`, `caller` or `DELETE`; empty for nobody.
        left_at: When it does, by the clock of the event loop.
        held: For how many seconds afterwards the callee was still up.
        wanted: SIP status, disposition and who hung up.
    """

    wanted: tuple[int, str, str]
    keys: str = ""
    leaves: str = ""
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float = 0
    held: float = 0


CASES = {
    "a voicemail box": Case((480, "NO_ANSWER", "LIMIT")),
    "other keys": Case((480, "NO_ANSWER", "LIMIT"), keys="57"),
    "the callee hangs up": Case((480, "NO_ANSWER", "CALLEE"), leaves="callee"),
    "the caller hangs up": Case((487, "CANCELLED", "CALLER"), leaves="caller"),
    "the booking is deleted": Case((603, "CANCELLED", "ENGINE"), leaves="DELETE"),
}
MOMENT = 0.5


async def _take(dialog: Dialog, case: Case) -> None:
    assert dialog.invite is not None
    media, towards = Media.open("127.0.0.1"), media_of(dialog.invite)
    assert towards is not None
    dialog.answer(Reply(180))
    dialog.answer(Reply(200, body=sdp(media.local)))
    await dialog.requested("ACK")
    case.is_up.set()
    await media.press(case.keys, towards)
    if case.leaves == "callee":
        await asyncio.sleep(MOMENT)
        await dialog.answered(dialog.request("BYE"))
    else:
        await dialog.requested("BYE")
        case.held = asyncio.get_running_loop().time() - case.left_at
    media.close()


async def _call(system: System, carrier: Peer, booked: Booking, case: Case) -> int:
    asterisk, media = ("127.0.0.1", system.settings.sip_port), Media.open("127.0.0.1")
    dialog = await carrier.dialog(booked.service, asterisk, source=SOURCE)
    number = dialog.request("INVITE", body=sdp(media.local))
    if case.leaves in {"caller", "DELETE"}:
        await case.is_up.wait()
        await asyncio.sleep(MOMENT)
        case.left_at = asyncio.get_running_loop().time()
        if case.leaves == "caller":
            dialog.cancel()
        else:
            await asyncio.to_thread(system.request, "DELETE", f"/bookings/{booked.id}")
    final = await dialog.answered(number)
    assert media.received == []
    media.close()
    return final.status or 0


async def _all_calls(system: System, bookings: dict[str, Booking]) -> dict[str, int]:
    called = {booked.destination: CASES[name] for name, booked in bookings.items()}

    async def take(dialog: Dialog) -> None:
        assert dialog.invite is not None
        await _take(dialog, called[user_of(dialog.invite.start_line.split()[1])])

    trunk, carrier = await Peer.open("127.0.0.1", system.trunk_port, take), await Peer.open("127.0.0.1")
    try:
        calls = [_call(system, carrier, booked, CASES[name]) for name, booked in bookings.items()]
        return dict(zip(bookings, await asyncio.gather(*calls), strict=True))
    finally:
        await carrier.close()
        await trunk.close()


def test_without_the_key_nobody_is_connected_and_nothing_is_charged(system: System) -> None:
    bookings = {name: _book(system, screening="press1", language="de") for name in CASES}
    with Stage() as stage:
        statuses = stage.run(_all_calls(system, bookings))
    got = {}
    for name, booked in bookings.items():
        [record] = booked.wait_settled()
        assert record["duration"] == 0, name
        got[name] = (statuses[name], record["disposition"], record["hungUpBy"])
        if name != "the booking is deleted":
            assert _credit(booked) == (PLAN["seconds"], PLAN["calls"]), name
    assert got == {name: case.wanted for name, case in CASES.items()}
    # The call does not outlast its caller by an announcement with its four seconds.
    assert CASES["the caller hangs up"].held < 2.5
    assert system.command("ledger", "verify", "--json") == []


def test_a_key_while_the_engine_is_down_is_charged_from_the_end_spool(system: System) -> None:
    booked = _book(system, screening="press1", language="de")
    with _callee(system, booked) as callee, Baresip(SOURCE, server=system.sip) as caller:
        caller.dial(booked.service)
        callee.wait_established()
        system.kill_engine()
        try:
            time.sleep(MOMENT)
            callee.press("1")
            caller.wait_established()
            time.sleep(1.2)
            caller.hangup()
            talked = caller.wait_closed().talked
            callee.wait_closed()
        finally:
            system.start_engine()
            system.wait_ready()
    [record] = booked.wait_settled()
    assert (record["disposition"], is_charged(record["duration"], talked)) == ("ANSWERED", True)
    assert _credit(booked) == (PLAN["seconds"] - record["duration"], PLAN["calls"] - 1)
    assert system.command("ledger", "verify", "--json") == []


def test_the_caller_hears_the_greeting_while_it_rings_and_nothing_of_the_callee(system: System, tmp_path: Path) -> None:
    booked = _book(system, greeting=True, language="fr")
    recording = tmp_path / "caller.wav"
    callee = Baresip("network", numbers=[booked.destination], port=system.trunk_port, answer="none", tone=CALLEE_HZ)
    with callee, Baresip(SOURCE, server=system.sip, tone=CALLER_HZ, record=recording) as caller:
        caller.dial(booked.service)
        callee.wait_ringing()
        time.sleep(len(prompts.decoded("fr/greeting")) / tone.RATE + 0.5)
        callee.accept()
        caller.wait_established()
        time.sleep(TALK_SECONDS)
        caller.hangup()
        talked = caller.wait_closed().talked
        callee.wait_closed()
    [(_, _, fit)] = prompts.heard(recording, ("fr/greeting",))
    assert fit > prompts.FITS
    assert HEARD_SECONDS < tone.seconds_of(recording, CALLEE_HZ) < talked + LATE_SECONDS
    [record] = booked.wait_settled()
    assert is_charged(record["duration"], talked)


@pytest.mark.parametrize("call", ["press1", "expired-prompt"])
def test_make_call_shows_what_is_heard(system: System, call: str) -> None:
    done = system.program("phones.demo_call", call)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✓ Done" in done.stdout
    heard = {"press1": ["The voicemail box", "The hidden telephone"], "expired-prompt": ["The caller"]}[call]
    assert all(f"{who} heard the prompt en/" in done.stdout for who in heard)


def test_make_call_lets_a_pair_talk_also_with_a_pin_and_a_stranger_reach_nobody(system: System) -> None:
    done = system.program("phones.demo_call", "pair")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "✓ Done" in done.stdout
    assert "keys in the PIN" in done.stdout
