"""What a network does to signalling costs nobody anything: repeated INVITEs, a CANCEL that crosses the answer (M10)."""

import math
import random
import time

import pytest

from phones.baresip import Baresip
from tests.e2e.calls import Caller, Outcome
from tests.e2e.system import System

RING_SECONDS = 0.4
ROUNDS = 8


def test_a_repeated_invite_is_one_call_with_one_lease(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with (
        caller.hidden() as hidden,
        caller.dialling(booked.service, "uac_repeats_invite", keys={"talk": 1000}) as callers,
    ):
        callers.wait()
        outcome = Outcome(callers.messages())
    sent = [message for message in callers.messages() if message.start_line.startswith("INVITE")]
    assert len(sent) == 2
    assert outcome.status == 200
    reached = {m.call_id for m in hidden.messages() if m.start_line.startswith("INVITE")}
    assert len(reached) == 1
    assert len(booked.wait_settled()) == 1
    time.sleep(0.5)
    assert len(booked.calls) == 1
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (7 - booked.calls[0]["duration"], 24)


def test_a_cancel_that_crosses_the_answer_is_settled_as_one_or_the_other(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    chance = random.Random(7)
    with caller.hidden("uas_answer", calls=ROUNDS, ring=round(RING_SECONDS * 1000)):
        for count in range(1, ROUNDS + 1):
            with Baresip("+33199007777", server=system.sip, tone=440) as phone:
                phone.dial(booked.service)
                phone.wait_ringing()
                time.sleep(RING_SECONDS + chance.uniform(-0.03, 0.06))
                phone.hangup()
                phone.wait_closed(5)
            assert len(booked.wait_settled(count)) == count
    for cdr in booked.calls:
        assert (cdr["disposition"], cdr["duration"]) in {("ANSWERED", 1), ("CANCELLED", 0)}
    spent = sum(cdr["duration"] for cdr in booked.calls)
    answered = sum(cdr["disposition"] == "ANSWERED" for cdr in booked.calls)
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (7 - spent, 25 - answered)
    assert system.command("ledger", "verify", "--json") == []


@pytest.mark.parametrize("talk", [990, 1010, 1990, 2010])
def test_every_second_begun_counts_and_no_other(system: System, caller: Caller, talk: int) -> None:
    booked = system.book("LARGE")
    with caller.hidden():
        outcome = caller.call(booked.service, "uac_hangs_up", talk=talk)
    # Asterisk's own milliseconds decide; the caller's ACK and BYE are a few of them away.
    near = {math.ceil((outcome.talked or 0) + error) for error in (-0.03, 0.0, 0.03)}
    assert booked.wait_settled()[0]["duration"] in near
