"""Callers who are refused hear why, before the same SIP answer as without a voice, and pay nothing for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.asterisk.prompts import DIRECTORY, SOUNDS, prompt_places
from phones import messages, speech, tone
from phones.baresip import Baresip
from phones.errors import CallEndedError
from phones.prompts import FITS, decoded
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE, Caller, Outcome
from tests.e2e.system import System

# The operator's own recording of one prompt.
OWN, OWN_HZ, OWN_SECONDS = "nl/paused", 440, 1.5
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PLAN = {"seconds": 120, "calls": 25, "valid_for": 3600}
# Until the first sound, and until the answer after the last one.
SOON_SECONDS = 3.0


@dataclass(frozen=True)
class Refused:
    """What a caller got: the SIP status and what it heard."""

    status: int | None
    recording: Path


class SpeakingSystem(System):
    """It has places for all the prompts that the first test plays at once."""

    rtp_ports = 500


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    plans = {"SMALL": {**PLAN, "seconds": 1}, "MEDIUM": {**PLAN, "valid_for": 1}, "LARGE": PLAN}
    speaking = SpeakingSystem(voice=True, language="en", plans=plans, longest_call=60)
    recording = speaking.data_dir / "prompts" / f"{OWN}.wav"
    recording.parent.mkdir(parents=True)
    tone.write(recording, OWN_HZ, OWN_SECONDS)
    with speaking:
        yield speaking


@pytest.fixture(scope="module")
def caller(system: System) -> Caller:
    return Caller(system)


@pytest.fixture(scope="module")
def prompts() -> dict[str, list[float]]:
    """The loudness of all prompts, by their names."""
    return {sound: speech.loudness(decoded(sound), tone.RATE) for sound in SOUNDS}


def _book(system: System, plan: str = "LARGE", **fields: Any) -> Booking:
    booked = system.book(plan)
    if fields:
        assert system.request("PATCH", f"/bookings/{booked.id}", fields).status == 200
    return booked


def _adjusted(system: System, booked: Booking) -> Booking:
    system.command("bookings", "adjust", booked.id, "--seconds", "-1", "--reason", "spent", "--json")
    return booked


def _blocking(system: System, booked: Booking) -> Booking:
    assert system.request("POST", f"/bookings/{booked.id}/blocked-callers", {"caller": SOURCE}).status == 201
    return booked


def _refused(system: System, number: str, recording: Path, source: str = SOURCE) -> Refused:
    with Baresip(source, server=system.sip, record=recording) as phone:
        phone.dial(number)
        with pytest.raises(CallEndedError) as refused:
            phone.wait_established(20)
    return Refused(refused.value.ending.status, recording)


def _assert_said(prompts: dict[str, list[float]], sound: str, refused: Refused) -> None:
    """It heard this prompt from the beginning to the end, and no other one."""
    heard = speech.loudness(*tone.read(refused.recording))
    fits = {name: speech.find(heard, said, SOON_SECONDS) for name, said in prompts.items()}
    best = max(fits, key=lambda name: fits[name][0])
    length = len(prompts[sound]) * speech.BLOCK_SECONDS
    assert (best, fits[best][0] > FITS) == (sound, True), sorted(
        ((*fit, name) for name, fit in fits.items()), reverse=True
    )[:3]
    assert length - 0.2 < tone.duration(refused.recording) < length + SOON_SECONDS


def test_every_refusal_is_said_in_the_bookings_language_then_answered_as_before_and_costs_nothing(
    system: System, prompts: dict[str, list[float]], tmp_path: Path
) -> None:
    busy = _book(system, maxConcurrentCalls=1, language="fr")
    expired = _book(system, "MEDIUM", language="fr")
    bookings = {
        "de/spent": (_adjusted(system, _book(system, "SMALL", language="de")), 410),
        "fr/expired": (expired, 410),
        "en/busy": (_blocking(system, _book(system)), 403),
        "nl/anonymous": (_book(system, refuseAnonymous=True, language="nl"), 403),
        "de/unreachable": (_book(system, language="de"), 503),
        "fr/lines": (busy, 486),
        "fr/closed": (_book(system, hours=_shut(), language="fr"), 480),
        OWN: (_book(system, paused=True, language="nl"), 480),
    }
    called = {sound: booked.service for sound, (booked, _) in bookings.items()} | {"en/unknown": "+33199006666"}
    before = {sound: _credit(booked) for sound, (booked, _) in bookings.items()}
    with (
        Baresip("network", numbers=[busy.destination], port=system.trunk_port, answer="auto"),
        Baresip("+33199007776", server=system.sip) as first,
        ThreadPoolExecutor(len(called)) as pool,
    ):
        first.dial(busy.service)
        first.wait_established()
        before["fr/lines"] = _credit(busy)
        system.until(lambda: expired.now["status"] == "EXPIRED", "the booking has expired")
        calls = {
            sound: pool.submit(
                _refused,
                system,
                number,
                tmp_path / sound.replace("/", "-"),
                "anonymous" if "anonymous" in sound else SOURCE,
            )
            for sound, number in called.items()
        }
        got = {sound: call.result() for sound, call in calls.items()}
        # Its report comes after the caller's answer.
        assert [cdr["disposition"] for cdr in bookings["de/unreachable"][0].wait_settled()] == ["UNREACHABLE"]
        after = {sound: _credit(booked) for sound, (booked, _) in bookings.items()}
    wanted = {sound: status for sound, (_, status) in bookings.items()} | {"en/unknown": 404}
    assert {sound: refused.status for sound, refused in got.items()} == wanted
    assert after == before
    own = got.pop(OWN).recording
    assert OWN_SECONDS - 0.2 <= tone.seconds_of(own, OWN_HZ) <= OWN_SECONDS
    for sound, refused in got.items():
        _assert_said(prompts, sound, refused)


def _shut() -> dict[str, Any]:
    """Hours that are three days away."""
    day = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    return {"timeZone": "UTC", "open": [{"days": [day], "from": "09:00", "to": "10:00"}]}


def _credit(booked: Booking) -> tuple[int, int]:
    now = booked.now
    return now["secondsRemaining"], now["callsRemaining"]


def test_sound_comes_with_183_and_the_refusal_after_it_or_at_once_if_the_file_is_missing(
    system: System, caller: Caller
) -> None:
    spoken = caller.call(_book(system, paused=True, language="nl").service, "uac_rejected")
    statuses = [each.status for each in spoken.messages if each.direction == "received" and each.method == "INVITE"]
    assert statuses == [100, 183, 480]
    [progress] = [each for each in spoken.messages if each.status == 183]
    assert "\nm=audio " in progress.text
    assert OWN_SECONDS - 0.1 < spoken.waited < OWN_SECONDS + SOON_SECONDS

    (system.data_dir / "asterisk" / DIRECTORY / "de/paused.gsm").unlink()
    mute = caller.call(_book(system, paused=True, language="de").service, "uac_rejected")
    assert mute.status == 480
    assert mute.waited < SOON_SECONDS


def test_beyond_the_calls_that_may_speak_at_once_callers_are_refused_at_once(system: System, caller: Caller) -> None:
    most, _ = prompt_places(system.settings.most_calls)
    service = _book(system, paused=True, language="nl").service
    with caller.dialling(service, "uac_rejected", calls=most + 4) as sipp:
        sipp.wait()
        outcomes = [Outcome(trace) for trace in messages.by_call(sipp.messages()).values()]
    assert {outcome.status for outcome in outcomes} == {480}
    heard = [outcome for outcome in outcomes if any(each.status == 183 for each in outcome.messages)]
    # Calls that come at the very same time may count each other.
    assert most - 2 <= len(heard) <= most
    assert all(outcome.waited < SOON_SECONDS for outcome in outcomes if outcome not in heard)
