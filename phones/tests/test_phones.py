"""The telephones themselves: they call one another directly, with nothing in between."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phones import Baresip, CallEndedError, Message, PhoneError, PhoneTimeoutError, Sipp, messages, tone
from phones.ports import free_port, is_bound

pytestmark = pytest.mark.e2e

CALLEE_NUMBERS = ("+4930123", "4930124")
TALK = 1.0  # seconds in which the other side's tone must be heard
HEARD = 0.6  # of them, at the least: a call's first and last packets may be missing
STALL = 10.0  # seconds that a busy machine may add
CALLER_HZ, CALLEE_HZ = 440, 620


@pytest.fixture
def callee(tmp_path: Path) -> Iterator[Baresip]:
    """Takes every call at once."""
    with Baresip(
        "network", numbers=CALLEE_NUMBERS, answer="auto", tone=CALLEE_HZ, record=tmp_path / "callee.wav"
    ) as phone:
        yield phone


@pytest.fixture
def caller(callee: Baresip, tmp_path: Path) -> Iterator[Baresip]:
    with Baresip("+49170", server=f"127.0.0.1:{callee.port}", tone=CALLER_HZ, record=tmp_path / "caller.wav") as phone:
        yield phone


@pytest.fixture
def ringing(tmp_path: Path) -> Iterator[Baresip]:
    """Rings until it is told what to do."""
    with Baresip("4930125") as phone:
        yield phone


def talk(phone: Baresip) -> None:
    """Lets the call go on for a while: nobody is to hang up meanwhile."""
    with pytest.raises(PhoneTimeoutError):
        phone.wait_closed(TALK)


def run(uas: str, uac: str, **keys: str | int) -> list[Message]:
    """One SIPp calls another; both must be content. Returns what the caller sent and received."""
    port = free_port()
    with (
        Sipp(uas, port=port, keys=keys, timeout=10) as callee,
        Sipp(uac, target=f"127.0.0.1:{port}", number=CALLEE_NUMBERS[0], keys=keys, timeout=10) as caller,
    ):
        result = caller.wait()
        assert (result.exit_code, result.succeeded, result.failed) == (0, 1, 0), result.errors
        assert callee.wait().exit_code == 0
    return caller.messages()


def statuses(received: list[Message], method: str = "INVITE") -> list[int]:
    return [message.status for message in received if message.status and message.method == method]


@pytest.mark.parametrize("number", CALLEE_NUMBERS)
def test_both_hear_the_other_and_not_themselves(caller: Baresip, callee: Baresip, number: str, tmp_path: Path) -> None:
    caller.dial(number)
    caller.wait_established()
    callee.wait_established()
    talk(caller)
    caller.hangup()
    here, there = caller.wait_closed(), callee.wait_closed()
    assert (here.by, there.by) == ("local", "remote")
    assert TALK <= here.talked < TALK + STALL
    for file, own, other in (("caller.wav", CALLER_HZ, CALLEE_HZ), ("callee.wav", CALLEE_HZ, CALLER_HZ)):
        assert tone.seconds_of(tmp_path / file, other) >= HEARD
        assert tone.seconds_of(tmp_path / file, own) == 0


def test_a_telephone_has_call_after_call_and_either_side_ends_them(caller: Baresip, callee: Baresip) -> None:
    for number, ends in ((CALLEE_NUMBERS[1], callee), (CALLEE_NUMBERS[0], caller), (CALLEE_NUMBERS[1], callee)):
        caller.dial(number)
        caller.wait_established()
        callee.wait_established()
        ends.hangup()
        by = {"caller": caller.wait_closed().by, "callee": callee.wait_closed().by}
        assert by == {
            "caller": "local" if ends is caller else "remote",
            "callee": "local" if ends is callee else "remote",
        }


def test_a_number_nobody_has_is_refused(caller: Baresip) -> None:
    caller.dial("999")
    assert caller.wait_closed().status == 404


def test_a_second_caller_hears_that_it_is_busy(caller: Baresip, callee: Baresip) -> None:
    caller.dial(CALLEE_NUMBERS[0])
    callee.wait_established()
    with Baresip("+49171", server=f"127.0.0.1:{callee.port}") as second:
        second.dial(CALLEE_NUMBERS[0])
        with pytest.raises(CallEndedError) as refused:
            second.wait_established()
    assert refused.value.ending.status == 486
    caller.hangup()
    assert callee.wait_closed().by == "remote"


def test_a_ringing_telephone_is_answered_refused_or_given_up(caller: Baresip, ringing: Baresip) -> None:
    target = f"sip:4930125@127.0.0.1:{ringing.port}"

    caller.dial(target)
    ringing.wait_ringing()
    ringing.accept()
    caller.wait_established()
    caller.hangup()
    assert caller.wait_closed().by == "local"
    assert ringing.wait_closed().by == "remote"

    caller.dial(target)
    ringing.wait_ringing()
    ringing.hangup()
    assert caller.wait_closed().status == 486
    assert ringing.wait_closed().by == "local"

    caller.dial(target)
    ringing.wait_ringing()
    caller.hangup()
    assert caller.wait_closed().by == "local"
    assert ringing.wait_closed().talked == 0


def test_a_closed_telephone_leaves_nothing_behind() -> None:
    with Baresip("1") as phone:
        assert is_bound(phone.port)
    assert not is_bound(phone.port)
    with pytest.raises(PhoneError, match="not running"):
        phone.dial("sip:2@127.0.0.1:9")


def test_a_registration_that_nobody_takes_times_out() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with (
        Baresip("1", server=nobody, password="secret") as phone,
        pytest.raises(PhoneTimeoutError, match="not registered"),
    ):
        phone.wait_registered(0.3)


def test_the_callee_hangs_up() -> None:
    trace = run("uas_hangs_up", "uac_waits_for_bye", ring=100, talk=500, source="+49170")
    assert statuses(trace) == [180, 200]
    assert 0.3 < (messages.talk_time(trace) or 0) < 0.5 + STALL
    assert trace[0].header("From").startswith("<sip:+49170@127.0.0.1:")


def test_the_caller_hangs_up() -> None:
    trace = run("uas_answer", "uac_hangs_up", ring=100, talk=300, header="P-Preferred-Identity: <sip:1@x>")
    assert 0.1 < (messages.talk_time(trace) or 0) < 0.3 + STALL
    assert trace[0].header("P-Preferred-Identity") == "<sip:1@x>"


def test_a_busy_callee() -> None:
    assert statuses(run("uas_busy", "uac_rejected")) == [486]


def test_the_caller_gives_up() -> None:
    trace = run("uas_no_answer", "uac_cancel", ring=200)
    assert statuses(trace) == [180, 487]
    assert statuses(trace, "CANCEL") == [200]


def test_a_leaky_callee_shows_the_number_everywhere() -> None:
    trace = run("uas_leaky", "uac_waits_for_bye", ring=100, talk=100)
    received = [message for message in trace if message.direction == "received"]
    assert statuses(received) == [180, 181, 183, 200]
    assert {"UPDATE", "INVITE", "BYE"} <= {message.method for message in received if message.status is None}
    identities = [message.header("P-Asserted-Identity") for message in received if message.method != "ACK"]
    assert all(CALLEE_NUMBERS[0] in identity for identity in identities)


def test_many_calls_over_tcp() -> None:
    with (
        Sipp("uas_answer", calls=20, transport="tcp", timeout=10) as callee,
        Sipp(
            "uac_hangs_up", target=f"127.0.0.1:{callee.port}", calls=20, rate=50, transport="tcp", timeout=10
        ) as caller,
    ):
        assert caller.wait().succeeded == 20
    calls = messages.by_call(caller.messages())
    assert [messages.final_status(call) for call in calls.values()] == [200] * 20


def test_a_call_that_goes_wrong_fails_and_says_why() -> None:
    with (
        Sipp("uas_busy", timeout=5) as callee,
        Sipp("uac_hangs_up", target=f"127.0.0.1:{callee.port}", timeout=5) as caller,
    ):
        result = caller.wait()
    assert (result.exit_code, result.failed) == (1, 1)
    assert "486" in result.errors


def test_a_callee_whom_nobody_calls_gives_up() -> None:
    with Sipp("uas_answer", timeout=1) as callee:
        with pytest.raises(PhoneTimeoutError):
            callee.wait(0.1)
        assert callee.wait().exit_code != 0


def test_a_callee_that_is_to_finish_takes_its_call_to_the_end_and_no_other() -> None:
    with (
        Sipp("uas_answer", calls=3, timeout=20) as callee,
        Sipp("uac_hangs_up", target=f"127.0.0.1:{callee.port}", keys={"talk": 1000}, timeout=20) as caller,
    ):
        while messages.final_status(caller.messages()) != 200:
            time.sleep(0.01)
        callee.finish(20)
        assert [message.method for message in callee.messages() if message.status == 200] == ["INVITE", "BYE"]
        assert caller.wait().succeeded == 1
        assert not is_bound(callee.port)


def test_a_callee_that_nobody_called_has_nothing_to_finish() -> None:
    with Sipp("uas_answer", calls=3, timeout=20) as callee:
        callee.finish(20)
        assert callee.wait().succeeded == 0


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(PhoneError, match="does not exist"):
        Sipp("no_such_scenario")


def test_a_broken_scenario_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    scenario = '<scenario><recv request="INVITE"/><send><![CDATA[ [no_such_key] ]]></send></scenario>'
    broken.write_text(f'<?xml version="1.0"?>\n{scenario}\n')
    with pytest.raises(PhoneError, match="no_such_key"):
        Sipp(broken).__enter__()


def test_a_taken_port_is_refused() -> None:
    with Sipp("uas_answer") as taker:
        with pytest.raises(PhoneError, match="taken"):
            Sipp("uas_answer", port=taker.port).__enter__()
        with pytest.raises(PhoneError, match="taken"):
            Baresip("1", port=taker.port).__enter__()
