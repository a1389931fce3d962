"""An operator's adjustment of a booking moves the end of its live calls."""

import time
from collections.abc import Iterator

import pytest

from engine.bookings.adjustments import Adjustment
from engine.control.client import ask_to_adjust
from engine.control.protocol import EngineSilent
from engine.domain.ids import BookingId
from engine.runtime.failpoints import VARIABLE
from engine.runtime.ids import new_id
from phones.messages import by_call
from tests.contract.ledger import broken_rules
from tests.e2e.booking import Booking
from tests.e2e.calls import EARLY_SECONDS, LATE_SECONDS, Caller, Outcome, is_charged, lasted, wait_talking
from tests.e2e.system import System

GRANTED = 9


@pytest.fixture(scope="module")
def generous() -> Iterator[System]:
    plan = {"seconds": GRANTED, "calls": 25, "valid_for": 3600}
    plans = {"SMALL": plan, "MEDIUM": plan, "LARGE": plan}
    with System(longest_call=60, reconcile_interval=1, plans=plans) as system:
        yield system


@pytest.fixture
def party(generous: System) -> Caller:
    return Caller(generous)


def _adjust(booked: Booking, seconds: int, calls: int = 0) -> tuple[int, int]:
    """Adjusts through the running engine, as the command line does. Returns the seconds and calls really granted."""
    done = ask_to_adjust(
        booked.system.data_dir, Adjustment(new_id("grt"), BookingId(booked.id), seconds, calls, "a test")
    )
    assert done is not None
    return done.seconds, done.calls


def _adjust_on_command_line(booked: Booking, seconds: int, calls: int) -> tuple[int, int]:
    arguments = ("--seconds", str(seconds), "--calls", str(calls), "--reason", "a test", "--json")
    done = booked.system.command("bookings", "adjust", booked.id, *arguments)
    return done["seconds"], done["calls"]


def _granted_in_the_end(booked: Booking, calls: int = 1) -> int:
    """The granted seconds after all calls are settled. Asserts that the ledger adds up."""
    booked.wait_settled(calls)
    with booked.system.database() as database:
        assert broken_rules(database) == {}
        [(granted,)] = database.execute("SELECT seconds_granted FROM bookings WHERE id = ?", (booked.id,))
    return int(granted)


def test_a_live_call_is_cut_earlier_when_seconds_are_taken(generous: System, party: Caller) -> None:
    booked = generous.book()
    with party.hidden(), party.dialling(booked.service) as callers:
        wait_talking(generous, callers)
        assert _adjust(booked, -6, -3) == (-6, -3)
        callers.wait()
        outcome = Outcome(callers.messages())
    assert lasted(outcome.talked, 3)
    assert [record["duration"] for record in booked.wait_settled()] == [3]
    assert _granted_in_the_end(booked) == 3
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"], booked.now["status"]) == (0, 21, "EXPIRED")


def test_seconds_already_talked_cannot_be_taken_and_all_calls_end_at_once(generous: System, party: Caller) -> None:
    booked = generous.book()
    with party.hidden(calls=2), party.dialling(booked.service, calls=2) as callers:
        wait_talking(generous, callers, 2)
        time.sleep(1)
        taken, _ = _adjust(booked, -1000)
        callers.wait()
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
    durations = sorted(record["duration"] for record in booked.wait_settled(2))
    assert sum(durations) == GRANTED + taken == _granted_in_the_end(booked, 2)
    assert 0 > taken > -GRANTED
    talked = sorted(outcome.talked or 0 for outcome in outcomes)
    assert all(lasted(each, duration) for each, duration in zip(talked, durations, strict=True))


def test_a_live_call_lasts_longer_when_seconds_are_given(generous: System, party: Caller) -> None:
    booked = generous.book()
    assert _adjust(booked, -6) == (-6, 0)
    with party.hidden(), party.dialling(booked.service) as callers:
        wait_talking(generous, callers)
        assert _adjust(booked, 2) == (2, 0)
        callers.wait()
        outcome = Outcome(callers.messages())
    assert lasted(outcome.talked, 5)
    assert _granted_in_the_end(booked) == 5


def test_without_an_engine_only_seconds_that_no_call_leases_are_taken(generous: System, party: Caller) -> None:
    booked = generous.book()
    with party.hidden(), party.dialling(booked.service, "uac_hangs_up", keys={"talk": 3500}) as callers:
        wait_talking(generous, callers)
        generous.kill_engine()
        assert _adjust_on_command_line(booked, -7, -30) == (0, -24)
        callers.wait()
        talked = Outcome(callers.messages()).talked
    generous.start_engine()
    generous.wait_ready()
    [record] = booked.wait_settled()
    assert is_charged(record["duration"], talked)
    assert _granted_in_the_end(booked) == GRANTED
    left = GRANTED - record["duration"]
    assert _adjust_on_command_line(booked, -7, 5) == (-left, 5)
    assert generous.command("ledger", "verify", "--json") == []
    shown = generous.command("bookings", "show", booked.id, "--json")
    assert [(each["seconds"], each["calls"]) for each in shown["grants"]] == [(-left, 5), (0, -24), (GRANTED, 25)]
    assert [each["reason"] for each in shown["grants"]] == ["a test", "a test", None]
    assert (shown["secondsRemaining"], shown["secondsSpent"], shown["status"]) == (0, record["duration"], "EXPIRED")


@pytest.mark.parametrize(("point", "granted"), [("limits lowered", GRANTED), ("adjustment booked", GRANTED - 5)])
def test_an_engine_killed_during_an_adjustment_leaves_a_correct_ledger_and_no_call_exceeds_its_limit(
    generous: System, party: Caller, point: str, granted: int
) -> None:
    booked = generous.book()
    generous.stop_engine()
    generous.start_engine(**{VARIABLE: point})
    generous.wait_ready()
    with party.hidden() as callee, party.dialling(booked.service) as callers:
        wait_talking(generous, callers)
        with pytest.raises(EngineSilent):
            _adjust(booked, -5)
        generous.wait_engine_dead()
        generous.start_engine()
        generous.wait_ready()
        callers.wait()
        callee.wait()
        # The callee's trace is exact: without an engine, the caller's BYE waits until Asterisk has spooled the end.
        talked = Outcome(callee.messages()).talked
    assert _granted_in_the_end(booked) == granted
    # Asterisk has the lower limit in any case. The restarted engine may raise it again if it starts in time.
    assert talked is not None
    assert GRANTED - 5 - EARLY_SECONDS <= talked <= granted + LATE_SECONDS


def test_the_command_line_shows_live_calls_and_hangs_up_one_without_ending_the_other(
    generous: System, party: Caller
) -> None:
    booked, other = generous.book(), generous.book()
    for each in (booked, other):
        _adjust(each, 60 - GRANTED)
    with (
        party.hidden(calls=2),
        party.dialling(other.service) as staying,
        party.dialling(booked.service) as callers,
    ):
        wait_talking(generous, callers)
        wait_talking(generous, staying)
        live = {call["booking"]: call for call in generous.command("calls", "live", "--json")}
        assert {call["state"] for call in live.values()} == {"LIVE"}
        ended = generous.command("calls", "hangup", live[booked.id]["call"], "--json")
        assert ended == {"callId": live[booked.id]["call"], "ended": True}
        callers.wait()
        [record] = booked.wait_settled()
        assert record["disposition"] == "ANSWERED"
        assert [call["booking"] for call in generous.command("calls", "live", "--json")] == [other.id]
        generous.command("bookings", "delete", other.id, "--yes", "--json")
        staying.wait()
    assert generous.command("calls", "live", "--json") == []
