"""Repeated INVITEs, and a CANCEL that crosses the answer, are charged once and correctly (M10).

`-s` prints the figures; SIP_RACES=200 makes a long run.
"""

import math
import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from phones.baresip import Baresip
from phones.messages import by_call
from tests.e2e.booking import Booking
from tests.e2e.calls import Caller, Outcome
from tests.e2e.system import System

RING_SECONDS = 0.4
ROUNDS = int(os.environ.get("SIP_RACES", "8"))
AT_ONCE = 8
PLAN = {"LARGE": {"seconds": 3600, "calls": 2000, "valid_for": 24 * 3600}}
pytestmark = pytest.mark.timeout(90 + 5 * ROUNDS)


@pytest.fixture(scope="module")
def roomy() -> Iterator[System]:
    with System(plans=PLAN, max_concurrent_calls=100, max_calls_per_caller_per_hour=1000) as system:
        yield system


def records(booked: Booking) -> list[tuple[str, int]]:
    """The disposition and duration of each call."""
    with booked.system.database() as database:
        sql = "SELECT disposition, duration FROM cdrs WHERE booking_id = ?"
        return [(str(disposition), int(duration)) for disposition, duration in database.execute(sql, [booked.id])]


def wrong_debits(booked: Booking, right: set[tuple[str, int]]) -> int:
    """Counts calls that were recorded as none of `right`, or charged otherwise than recorded."""
    found, plan, now = records(booked), PLAN["LARGE"], booked.now
    seconds: int = plan["seconds"] - now["secondsRemaining"] - sum(duration for _, duration in found)
    calls: int = plan["calls"] - now["callsRemaining"] - sum(duration > 0 for _, duration in found)
    return sum(record not in right for record in found) + abs(seconds) + abs(calls)


def test_a_repeated_invite_makes_one_call_with_one_lease(roomy: System) -> None:
    caller, booked = Caller(roomy), roomy.book("LARGE")
    for _ in range(0, ROUNDS, AT_ONCE):
        with (
            caller.hidden(calls=AT_ONCE) as hidden,
            caller.dialling(booked.service, "uac_repeats_invite", calls=AT_ONCE, keys={"talk": 800}) as callers,
        ):
            callers.wait()
        sent = [message for message in callers.messages() if message.start_line.startswith("INVITE")]
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
        assert (len(sent), len(outcomes)) == (2 * AT_ONCE, AT_ONCE)
        assert {outcome.status for outcome in outcomes} == {200}
        reached = {m.call_id for m in hidden.messages() if m.start_line.startswith("INVITE")}
        assert len(reached) == AT_ONCE
    calls = AT_ONCE * -(-ROUNDS // AT_ONCE)
    roomy.until(lambda: len(records(booked)) >= calls, "every call is recorded")
    time.sleep(0.5)
    assert len(records(booked)) == calls
    wrong = wrong_debits(booked, {("ANSWERED", 1), ("ANSWERED", 2)})
    print(f"\nM10: {calls} calls whose INVITE came twice: wrong debits {wrong}")  # noqa: T201  the figure
    assert wrong == 0


def test_a_cancel_that_crosses_the_answer_is_settled_as_answered_or_as_cancelled(roomy: System) -> None:
    caller, booked = Caller(roomy), roomy.book("LARGE")
    chance = random.Random(7)
    with caller.hidden("uas_answer", calls=ROUNDS, ring=round(RING_SECONDS * 1000)):
        for count in range(1, ROUNDS + 1):
            with Baresip("+33199007777", server=roomy.sip, tone=440) as phone:
                phone.dial(booked.service)
                phone.wait_ringing()
                time.sleep(RING_SECONDS + chance.uniform(-0.03, 0.06))
                phone.hangup()
                phone.wait_closed(5)
            roomy.until(lambda count=count: len(records(booked)) == count, "the call is recorded")  # type: ignore[misc]
    wrong = wrong_debits(booked, {("ANSWERED", 1), ("CANCELLED", 0)})
    figures = dict(Counter(records(booked)))
    print(f"\nM10: {ROUNDS} CANCELs around the answer, {figures}: wrong debits {wrong}")  # noqa: T201
    assert wrong == 0
    assert roomy.command("ledger", "verify", "--json") == []


@pytest.mark.parametrize("talk", [990, 1010, 1990, 2010])
def test_every_started_second_is_charged_and_no_more(system: System, caller: Caller, talk: int) -> None:
    booked = system.book("LARGE")
    with caller.hidden():
        outcome = caller.call(booked.service, "uac_hangs_up", talk=talk)
    # Asterisk's milliseconds decide. The caller's ACK and BYE differ from them by a few.
    near = {math.ceil((outcome.talked or 0) + error) for error in (-0.03, 0.0, 0.03)}
    assert booked.wait_settled()[0]["duration"] in near
