"""Both sides of a call hear a beep when little of it is left, wherever its limit has moved, and keys pass unchanged."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from phones import tone
from phones.baresip import Baresip
from phones.errors import PhoneTimeoutError
from phones.peer import Stage
from phones.peer.media import KEYS
from tests.e2e.booking import Booking
from tests.e2e.calls import LATE_SECONDS, SOURCE
from tests.e2e.system import System
from tests.e2e.talking import PACKET_SECONDS, Network, Talk
from tests.e2e.test_ami_rights import Session, session

CALLER_HZ, CALLEE_HZ, BEEP_HZ, BEEP_SECONDS = 440, 620, 1000, 0.3
# How long before the end of a call it beeps here, in place of a minute.
BEFORE = 3.0
TOLERANCE = 1.0
BLOCK_SECONDS = 0.02
# C and D are the beep's own.
PASSING = KEYS.replace("C", "").replace("D", "")


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    plans = {
        name: {"seconds": seconds, "calls": 25, "valid_for": 3600}
        for name, seconds in (("SMALL", 6), ("MEDIUM", 12), ("LARGE", 300))
    }
    with System(plans=plans, longest_call=60, beep_before=BEFORE) as system:
        yield system


def _book(system: System, plan: str, *, beep: bool = True) -> Booking:
    booked = system.book(plan)
    answer = system.request("PATCH", f"/bookings/{booked.id}", {"beep": beep})
    assert (answer.status, answer.body["beep"]) == (200, beep)
    return booked


@dataclass
class Recorded:
    """What both sides of a call heard, each with the pitch of the other one's voice."""

    caller: Path
    callee: Path

    @property
    def both(self) -> list[tuple[Path, int]]:
        return [(self.caller, CALLEE_HZ), (self.callee, CALLER_HZ)]


def _recorded_call(system: System, booked: Booking, directory: Path, *meanwhile: Callable[[], None]) -> Recorded:
    """A call until its limit. The steps of `meanwhile` come after a second."""
    heard = Recorded(directory / "caller.wav", directory / "callee.wav")
    with (
        Baresip(
            "network",
            numbers=[booked.destination],
            port=system.trunk_port,
            answer="auto",
            tone=CALLEE_HZ,
            record=heard.callee,
        ) as callee,
        Baresip(SOURCE, server=system.sip, tone=CALLER_HZ, record=heard.caller) as caller,
    ):
        caller.dial(booked.service)
        caller.wait_established()
        with suppress(PhoneTimeoutError):
            caller.wait_closed(1)
        for step in meanwhile:
            step()
        caller.wait_closed()
        callee.wait_closed()
    return heard


def _beeps(recording: Path) -> list[tuple[float, float]]:
    """For how many seconds each beep in a recording lasts, and how many seconds before the call's end it begins."""
    samples, rate = tone.read(recording)
    size = round(rate * BLOCK_SECONDS)
    blocks = [samples[start : start + size] for start in range(0, len(samples) - size + 1, size)]
    found: list[list[int]] = []
    for index, block in enumerate(blocks):
        if max(map(abs, block)) > 500 and tone.power_share(block, BEEP_HZ, rate) > 0.5:
            if found and index - found[-1][-1] < 3:
                found[-1].append(index)
            else:
                found.append([index])
    return [(len(each) * BLOCK_SECONDS, (len(blocks) - each[0]) * BLOCK_SECONDS) for each in found]


def _assert_one_beep_before_the_end(recorded: Recorded) -> None:
    for recording, voice in recorded.both:
        [(length, left)] = _beeps(recording)
        assert abs(length - BEEP_SECONDS) < 0.1
        assert BEFORE - LATE_SECONDS < left < BEFORE + TOLERANCE
        # Nothing but the beep takes the place of the other side's voice.
        assert tone.seconds_of(recording, voice) > tone.duration(recording) - BEEP_SECONDS - 0.7


def test_both_sides_hear_one_beep_before_the_end(system: System, tmp_path: Path) -> None:
    booked = _book(system, "SMALL")
    _assert_one_beep_before_the_end(_recorded_call(system, booked, tmp_path))
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [6]


def test_the_moment_moves_with_a_limit_that_grows_and_an_engine_that_begins_anew_finds_it(
    system: System, tmp_path: Path
) -> None:
    booked = _book(system, "SMALL")

    def lengthen() -> None:
        assert system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "MEDIUM"}).status == 200
        system.until(lambda: booked.now["secondsRemaining"] == 0, "the call has leased the new seconds")

    def begin_anew() -> None:
        system.kill_engine()
        system.start_engine()
        system.wait_ready()

    recorded = _recorded_call(system, booked, tmp_path, lengthen, begin_anew)
    assert tone.duration(recorded.caller) > 16  # and not 6
    _assert_one_beep_before_the_end(recorded)


def test_a_call_that_came_in_without_the_beep_has_none(system: System, tmp_path: Path) -> None:
    booked = _book(system, "SMALL", beep=False)

    def change() -> None:
        assert system.request("PATCH", f"/bookings/{booked.id}", {"beep": True}).status == 200

    for recording, voice in _recorded_call(system, booked, tmp_path, change).both:
        assert _beeps(recording) == []
        assert tone.seconds_of(recording, voice) > tone.duration(recording) - 0.7


async def _two_calls(system: System, booked: Booking) -> list[Talk]:
    """The second one comes in four seconds later, and they share what is left."""
    async with Network.open(system) as network:
        first = await network.call(booked)
        await asyncio.sleep(4)
        second = await network.call(booked)
        await asyncio.gather(first.wait_ended(), second.wait_ended())
        return [first, second]


def test_the_moment_moves_with_a_limit_that_shrinks(system: System) -> None:
    booked = _book(system, "MEDIUM")
    with Stage() as stage:
        talks = stage.run(_two_calls(system, booked), 60)
    # 12 s in all: the first call alone would have lasted as long, and beeped at 9 s.
    assert sorted(cdr["duration"] for cdr in booked.wait_settled(2)) == [4, 8]
    for talk in talks:
        for side in talk.sides:
            beeping = [packet.at for packet in side.beeping]
            assert abs(max(beeping) - min(beeping) - BEEP_SECONDS) < 0.2
            assert BEFORE - LATE_SECONDS < talk.ended_at - min(beeping) < BEFORE + TOLERANCE


async def _pressed(system: System, booked: Booking) -> None:
    async with Network.open(system) as network:
        talk = await network.call(booked)
        await asyncio.sleep(0.5)
        for number, key in enumerate(PASSING, 1):
            await asyncio.gather(*(side.media.press(key, side.towards) for side in talk.sides))
            # Each key takes its time on its way through Asterisk, which drops keys that come too fast.
            await asyncio.gather(*(side.until_pressed(number) for side in talk.sides))
        for side in talk.sides:
            assert side.keys == [(key, True) for key in PASSING]
            assert side.beeping == []
        # What the engine does at the moment, and each party can do, too.
        for key, hears in (("C", talk.caller), ("D", talk.callee)):
            await talk.caller.media.press(key, talk.caller.towards)
            await asyncio.sleep(0.8)
            assert len(hears.beeping) * PACKET_SECONDS == pytest.approx(BEEP_SECONDS, abs=0.1)
            hears.media.received.clear()
            assert [(side.beeping, side.keys[len(PASSING) :]) for side in talk.sides if side is not hears] == [([], [])]
        await talk.dialog.answered(talk.dialog.request("BYE"))


def test_all_keys_but_c_and_d_pass_unchanged_and_those_two_only_beep(system: System) -> None:
    with Stage() as stage:
        stage.run(_pressed(system, _book(system, "LARGE")), 60)


def _callee_channel(system: System) -> str:
    shown = system.asterisk_console("core show channels concise").splitlines()
    [channel] = [line.split("!")[0] for line in shown if line.startswith("PJSIP/trunk-")]
    return channel


def _begin_beep(engine: Session, channel: str) -> None:
    for digit in "CD":
        assert "Success" in engine.ask("PlayDTMF", Channel=channel, Digit=digit, Receive="true")


def test_a_key_that_is_pressed_at_the_moment_passes(system: System) -> None:
    async def play() -> None:
        async with Network.open(system) as network:
            talk = await network.call(_book(system, "LARGE"))
            caller, callee = talk.sides
            await asyncio.sleep(0.5)
            channel = _callee_channel(system)
            with session(system) as engine:
                for count in range(5):
                    pressing = asyncio.ensure_future(caller.media.press("5", caller.towards))
                    await asyncio.sleep(0.02 * count)
                    _begin_beep(engine, channel)
                    await pressing
                    await asyncio.sleep(0.7)
            await talk.dialog.answered(talk.dialog.request("BYE"))
            assert callee.keys == [("5", True)] * 5
            assert caller.beeping
            assert callee.beeping

    with Stage() as stage:
        stage.run(play(), 60)


def test_a_call_whose_codec_asterisk_cannot_convert_goes_on_without_a_beep(system: System) -> None:
    async def play() -> None:
        async with Network.open(system, has_converter=False) as network:
            talk = await network.call(_book(system, "LARGE"))
            await asyncio.sleep(0.5)
            with session(system) as engine:
                _begin_beep(engine, _callee_channel(system))
            await asyncio.sleep(1)
            for side in talk.sides:
                side.media.received.clear()
            await asyncio.sleep(0.5)
            for side in talk.sides:
                assert side.beeping == []
                assert len(side.media.received) > 15
            assert (await talk.dialog.answered(talk.dialog.request("BYE"))).status == 200

    with Stage() as stage:
        stage.run(play(), 60)
