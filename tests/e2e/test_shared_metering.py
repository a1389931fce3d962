"""Live calls of a booking share the remaining seconds: their limits in Asterisk move both ways during the calls."""

import time
from collections.abc import Iterator

import pytest

from phones.messages import by_call
from tests.e2e.booking import Booking
from tests.e2e.calls import ANSWERS_SOME, SOURCE, Caller, Outcome, are_charged, is_charged, lasted, wait_talking
from tests.e2e.system import System


@pytest.fixture(scope="module")
def sharing() -> Iterator[System]:
    with System(
        longest_call=60,
        plans={
            "SMALL": {"seconds": 4, "calls": 25, "valid_for": 3600},
            "MEDIUM": {"seconds": 60, "calls": 3, "valid_for": 3600},
            "LARGE": {"seconds": 12, "calls": 25, "valid_for": 3600},
        },
    ) as system:
        yield system


@pytest.fixture
def parties(sharing: System) -> Caller:
    return Caller(sharing)


def _talked(outcomes: list[Outcome]) -> list[float]:
    return sorted(outcome.talked or 0 for outcome in outcomes)


def _durations(booked: Booking, calls: int) -> list[int]:
    return sorted(cdr["duration"] for cdr in booked.wait_settled(calls))


@pytest.mark.parametrize("calls", [2, 4])
def test_calls_at_once_use_exactly_the_remaining_seconds(sharing: System, parties: Caller, calls: int) -> None:
    booked = sharing.book("LARGE")
    with parties.hidden(calls=calls), parties.dialling(booked.service, calls=calls) as callers:
        callers.wait()
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
    assert [outcome.status for outcome in outcomes] == [200] * calls
    assert all(lasted(talked, 12 / calls) for talked in _talked(outcomes))
    assert sum(_durations(booked, calls)) == 12
    assert booked.now["status"] == "EXPIRED"


def test_a_later_second_call_gets_half_of_the_remaining_seconds(sharing: System, parties: Caller) -> None:
    booked = sharing.book("LARGE")
    with parties.hidden(calls=2), parties.dialling(booked.service) as first:
        wait_talking(sharing, first)
        time.sleep(4)
        with parties.dialling(booked.service) as second:
            second.wait()
            first.wait()
            earlier, later = Outcome(first.messages()), Outcome(second.messages())
    answered = next(message.at for message in earlier.messages if message.method == "ACK")
    alone = next(message.at for message in later.messages if message.status == 180) - answered
    # 12 s: about 4 alone, and of the rest each has half.
    assert lasted(earlier.talked, alone + (12 - alone) / 2)
    assert lasted(later.talked, (12 - alone) / 2)
    assert sum(_durations(booked, 2)) == 12


def test_the_unused_lease_of_one_call_goes_to_the_other(sharing: System, parties: Caller) -> None:
    booked = sharing.book("LARGE")
    with (
        parties.hidden(calls=2),
        parties.dialling(booked.service) as stays,
        parties.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as leaves,
    ):
        leaves.wait()
        stays.wait()
        left, stayed = Outcome(leaves.messages()), Outcome(stays.messages())
    shorter, longer = _durations(booked, 2)
    assert is_charged(shorter, left.talked)
    assert shorter + longer == 12
    assert lasted(stayed.talked, longer)


@pytest.mark.parametrize(("second", "seconds"), [("uac_rejected", 6), ("uac_cancel", 12)])
def test_a_ringing_call_holds_its_full_share_until_it_stops_ringing(
    sharing: System, parties: Caller, second: str, seconds: int
) -> None:
    """12 s, of which each call has 6, whether it talks or rings."""
    booked = sharing.book("LARGE")
    with (
        parties.hidden(ANSWERS_SOME, calls=2, answers=SOURCE[:-1], ring=0),
        parties.dialling(booked.service) as talks,
    ):
        wait_talking(sharing, talks)
        with parties.dialling(booked.service, second, keys={"source": "+33199004000"}) as rings:
            talks.wait()
            rings.wait()
            outcome = Outcome(talks.messages())
    assert lasted(outcome.talked, seconds)


@pytest.mark.parametrize("after", [1.0, 3.2])
def test_a_put_lengthens_a_live_call_even_in_its_last_second(sharing: System, parties: Caller, after: float) -> None:
    booked = sharing.book("SMALL")
    with parties.hidden(), parties.dialling(booked.service) as callers:
        wait_talking(sharing, callers)
        time.sleep(after)
        assert sharing.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "SMALL"}).status == 200
        callers.wait()
        outcome = Outcome(callers.messages())
    assert lasted(outcome.talked, 8)
    assert _durations(booked, 1) == [8]


def test_every_call_goes_through_while_slots_and_seconds_are_left(sharing: System, parties: Caller) -> None:
    booked = sharing.book("MEDIUM")
    with (
        parties.hidden(calls=3),
        parties.dialling(booked.service, "uac_hangs_up", calls=3, keys={"talk": 1500}) as callers,
    ):
        callers.wait()
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
        refused = parties.call(booked.service)
    assert [outcome.status for outcome in outcomes] == [200] * 3
    assert refused.status in {410, 486}
    records = [record for record in booked.wait_settled(4) if record["disposition"] == "ANSWERED"]
    assert are_charged(records, [outcome.talked for outcome in outcomes])
