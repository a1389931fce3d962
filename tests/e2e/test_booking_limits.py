"""A booking's own limits on real calls: calls at once, calls of one caller, longest call, and changes during a call."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from phones.messages import by_call, final_status
from tests.e2e.booking import Booking, fictional_number
from tests.e2e.calls import MOMENT_SECONDS, SOURCE, Caller, Outcome, is_charged, lasted, wait_talking
from tests.e2e.system import System

TOLERANCE = 0.1


@pytest.fixture(scope="module")
def generous() -> Iterator[System]:
    """A system in which only the booking's own limits end or refuse a call."""
    with System(longest_call=60, plans={"LARGE": {"seconds": 600, "calls": 100, "valid_for": 3600}}) as system:
        yield system


@pytest.fixture
def party(generous: System) -> Caller:
    return Caller(generous)


def _book(system: System, **limits: int) -> Booking:
    destination = fictional_number()
    body = {"destination": destination, "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/", **limits}
    answer = system.request("POST", "/bookings", body)
    assert answer.status == 201, answer
    return Booking(system, answer.body["id"], answer.body["service"], destination)


def _change(booked: Booking, **limits: int | None) -> None:
    answer = booked.system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE", **limits})
    assert answer.status == 200, answer


def _explained(booked: Booking, source: str = SOURCE) -> Any:
    answer = booked.system.get(f"/bookings/{booked.id}/explain?source={source}")
    assert answer.status == 200, answer
    assert booked.destination[-6:] not in str(answer.body)
    return answer.body


def test_two_of_three_calls_at_once_are_bridged_if_two_are_allowed(generous: System, party: Caller) -> None:
    booked = _book(generous, maxConcurrentCalls=2)
    with (
        party.hidden(calls=2),
        party.dialling(booked.service, "uac_hangs_up", calls=3, keys={"talk": 1500}) as callers,
    ):
        generous.until(lambda: len(booked.calls) == 1, "one is refused")
        explained = _explained(booked)
        booked.wait_settled(3)
        statuses = [final_status(trace) for trace in by_call(callers.messages()).values()]
    assert sorted(statuses, key=str) == [200, 200, 486]
    assert (explained["reason"], explained["callsHeld"]) == ("concurrency_limit", 2)
    refused = [cdr for cdr in booked.calls if cdr["disposition"] == "CONCURRENCY_LIMIT"]
    assert [cdr["duration"] for cdr in refused] == [0]
    assert booked.now["callsRemaining"] == 98
    assert _explained(booked)["reason"] == "put_through"


def test_a_caller_over_the_hourly_limit_gets_403_and_another_caller_is_put_through(
    party: Caller, generous: System
) -> None:
    booked = _book(generous, maxCallsPerCallerPerHour=2)
    for calls in (1, 2):
        with party.hidden():
            assert party.call(booked.service, "uac_hangs_up", talk=100).status == 200
        booked.wait_settled(calls)
    assert _explained(booked)["reason"] == "caller_limit"
    assert party.call(booked.service).status == 403
    assert [cdr["disposition"] for cdr in booked.wait_settled(3)] == ["CALLER_LIMIT", "ANSWERED", "ANSWERED"]

    other = SOURCE[:-1] + "8"
    assert _explained(booked, other)["reason"] == "put_through"
    with party.hidden():
        assert party.call(booked.service, "uac_hangs_up", talk=100, source=other).status == 200


def test_all_anonymous_callers_count_as_one_caller(party: Caller, generous: System) -> None:
    booked = _book(generous, maxCallsPerCallerPerHour=1)
    with party.hidden():
        first = party.call(booked.service, "uac_hangs_up", talk=100, header="Privacy: id", source="anonymous")
    booked.wait_settled()
    second = party.call(booked.service, header="Privacy: id", source="anonymous")
    assert (first.status, second.status) == (200, 403)
    assert _explained(booked, "anonymous")["reason"] == "caller_limit"


def test_a_call_is_cut_at_the_longest_call_of_its_booking(party: Caller, generous: System) -> None:
    booked = _book(generous, maxCallSeconds=2)
    explained = _explained(booked)
    with party.hidden():
        outcome = party.call(booked.service)
    assert lasted(outcome.talked, 2)
    assert (explained["seconds"], explained["limitedBy"]) == (2, "max_call_seconds")
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [2]


@pytest.mark.parametrize(("longest", "changed"), [(3, 5), (5, 3)])
def test_changing_the_longest_call_during_a_call_moves_its_end(
    party: Caller, generous: System, longest: int, changed: int
) -> None:
    booked = _book(generous, maxCallSeconds=longest)
    with party.hidden(), party.dialling(booked.service) as callers:
        wait_talking(booked.system, callers)
        _change(booked, maxCallSeconds=changed)
        callers.wait()
        outcome = Outcome(callers.messages())
    assert lasted(outcome.talked, changed)
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [changed]


def test_a_call_that_is_longer_than_its_new_limit_ends_with_its_current_second(party: Caller, generous: System) -> None:
    booked = _book(generous, maxCallSeconds=9)
    with party.hidden(), party.dialling(booked.service) as callers:
        wait_talking(booked.system, callers)
        time.sleep(1.2)
        _change(booked, maxCallSeconds=1)
        changed = time.time()
        callers.wait()
        outcome = Outcome(callers.messages())
    answered = next(message.at for message in outcome.messages if message.method == "ACK")
    [cdr] = booked.wait_settled()
    assert 2 <= cdr["duration"] <= math.ceil(changed - answered + MOMENT_SECONDS)
    assert lasted(outcome.talked, cdr["duration"])


def test_a_limit_removed_during_a_call_no_longer_ends_it(party: Caller, generous: System) -> None:
    booked = _book(generous, maxCallSeconds=3)
    with party.hidden(), party.dialling(booked.service, "uac_hangs_up", keys={"talk": 4300}) as callers:
        wait_talking(generous, callers)
        _change(booked, maxCallSeconds=None)
        callers.wait()
        talked = Outcome(callers.messages()).talked
    [cdr] = booked.wait_settled()
    assert cdr["duration"] > 4
    assert is_charged(cdr["duration"], talked)
