"""Calls with sound in both directions, and the two softphones of the demo."""

from pathlib import Path

import pytest

from engine.asterisk.softphones import SOFTPHONES
from engine.config.secrets import load
from phones import tone
from phones.baresip import Baresip
from phones.errors import CallEndedError, PhoneTimeoutError
from tests.e2e.calls import HEARD_SECONDS, is_charged
from tests.e2e.system import System

CALLER_HZ, CALLEE_HZ = 440, 620
TALK_SECONDS = 2.5


def _heard(recording: Path, hz: int) -> float:
    return tone.seconds_of(recording, hz)


def test_sound_goes_both_ways(system: System, tmp_path: Path) -> None:
    booked = system.book("LARGE")
    callee = Baresip(
        "network",
        numbers=[booked.destination],
        port=system.trunk_port,
        answer="auto",
        tone=CALLEE_HZ,
        record=tmp_path / "callee.wav",
    )
    caller = Baresip("+33199007777", server=system.sip, tone=CALLER_HZ, record=tmp_path / "caller.wav")
    with callee, caller:
        caller.dial(booked.service)
        caller.wait_established()
        with pytest.raises(PhoneTimeoutError):
            caller.wait_closed(TALK_SECONDS)
        caller.hangup()
        talked = caller.wait_closed().talked
        callee.wait_closed()
    assert _heard(tmp_path / "caller.wav", CALLEE_HZ) > HEARD_SECONDS
    assert _heard(tmp_path / "callee.wav", CALLER_HZ) > HEARD_SECONDS
    assert _heard(tmp_path / "caller.wav", CALLER_HZ) == 0
    [cdr] = booked.wait_settled()
    assert is_charged(cdr["duration"], talked)


def test_one_softphone_rings_the_other_by_its_rented_number(system: System, tmp_path: Path) -> None:
    kept = load(system.data_dir / "secrets")
    first, second = SOFTPHONES
    one = Baresip(
        first.user, server=system.sip, password=kept.softphone1_password, tone=CALLER_HZ, record=tmp_path / "1.wav"
    )
    two = Baresip(
        second.user, server=system.sip, password=kept.softphone2_password, tone=CALLEE_HZ, record=tmp_path / "2.wav"
    )
    with one, two:
        one.wait_registered()
        two.wait_registered()
        one.dial(second.rented)
        two.wait_ringing()
        two.accept()
        one.wait_established()
        with pytest.raises(PhoneTimeoutError):
            one.wait_closed(1.5)
        two.hangup()
        two.wait_closed()
        one.wait_closed()
    assert _heard(tmp_path / "1.wav", CALLEE_HZ) > 0.8
    assert _heard(tmp_path / "2.wav", CALLER_HZ) > 0.8


def test_a_softphone_with_a_wrong_password_can_neither_register_nor_call(system: System) -> None:
    user = SOFTPHONES[0].user
    with (
        Baresip(user, server=system.sip, password="not-the-password") as phone,
        pytest.raises(PhoneTimeoutError, match=r"401|403"),
    ):
        phone.wait_registered(2)
    with Baresip(user, server=system.sip) as phone:
        phone.dial("+33199008002")
        with pytest.raises(CallEndedError) as refused:
            phone.wait_established()
    assert refused.value.ending.status in {401, 403}
