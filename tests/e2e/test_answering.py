"""At the answer a call gets its limit before anything else, and it is bridged only after that.

The dialplan alone does this, whether the engine runs or not. Mutants of the dialplan show that the probes notice each
protection that is missing.
"""

from collections.abc import Iterator

import pytest

from engine.runtime.failpoints import VARIABLE
from tests.e2e.answering import BY_NAME, MUTANTS, PROBES, SECONDS, AnsweringSystem, Probe
from tests.e2e.calls import EARLY_SECONDS, LATE_SECONDS, Caller, Outcome, lasted


@pytest.fixture(scope="module")
def answering() -> Iterator[AnsweringSystem]:
    with AnsweringSystem() as system:
        yield system


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_nothing_goes_wrong_at_the_answer(answering: AnsweringSystem, probe: Probe) -> None:
    with answering.changed(*probe.changes):
        assert probe.run(answering) == []


@pytest.mark.runs_once
@pytest.mark.parametrize("name", MUTANTS)
def test_a_missing_protection_is_noticed(answering: AnsweringSystem, name: str) -> None:
    mutation, waits, probe = MUTANTS[name]
    with answering.changed(mutation, *waits):
        assert BY_NAME[probe].run(answering) != []


def test_a_ringing_calls_lease_is_lowered_for_a_second_call(answering: AnsweringSystem) -> None:
    booked, caller = answering.book("LARGE"), Caller(answering)
    with caller.hidden(calls=2, ring=2000), caller.dialling(booked.service) as first:
        answering.until(lambda: any(m.status == 180 for m in first.messages()), "it rings")
        assert booked.now["secondsRemaining"] == 0
        with caller.dialling(booked.service) as second:
            second.wait()
            first.wait()
    talked = [Outcome(each.messages()).talked for each in (first, second)]
    assert all(lasted(each, SECONDS / 2) for each in talked), talked
    assert [cdr["duration"] for cdr in booked.wait_settled(2)] == [SECONDS / 2] * 2


@pytest.mark.parametrize("returns", ["while it rings", "during the call", "after it"])
def test_an_engine_killed_after_it_lowered_a_ringing_calls_lease(answering: AnsweringSystem, returns: str) -> None:
    """Asterisk has the smaller lease and the database the larger one, which is what the call may cost at most."""
    booked, caller = answering.book("LARGE"), Caller(answering)
    answering.stop_engine()
    answering.start_engine(**{VARIABLE: "limits lowered"})
    answering.wait_ready()
    with caller.hidden(ring=6000) as callee, caller.dialling(booked.service) as first:
        answering.until(lambda: any(m.status == 180 for m in first.messages()), "it rings")
        assert caller.call(booked.service).status == 503
        answering.wait_engine_dead()
        if returns == "while it rings":
            answering.start_engine()
            answering.wait_ready()
        answering.until(lambda: any(m.method == "ACK" for m in callee.messages()), "it is answered")
        if returns == "during the call":
            answering.start_engine()
            answering.wait_ready()
        first.wait()
    if returns == "after it":
        answering.start_engine()
        answering.wait_ready()
    talked = Outcome(first.messages()).talked
    [cost] = [cdr["duration"] for cdr in booked.wait_settled() if cdr["duration"]]
    answering.until(lambda: booked.now["secondsRemaining"] == SECONDS - cost, "what is left is given back")
    # A running engine may give the call its whole lease, which nobody else wants any more.
    assert talked is not None
    longest = SECONDS / 2 if returns == "after it" else SECONDS
    assert SECONDS / 2 - EARLY_SECONDS <= talked <= longest + LATE_SECONDS
    assert cost - 1 <= talked <= cost + 1
