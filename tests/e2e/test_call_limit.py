"""How late a call is cut at its limit (M8). `pytest -s tests/e2e/test_call_limit.py` prints the figures."""

import contextlib

from tests.e2e.calls import Caller, Outcome, lasted
from tests.e2e.system import System

CALLS = 10
LIMIT_SECONDS = 3.0


def test_calls_that_reach_their_limits_together_are_cut_in_time(system: System, caller: Caller) -> None:
    booked = [system.book("SMALL") for _ in range(CALLS)]
    with caller.hidden(calls=CALLS), contextlib.ExitStack() as stack:
        callers = [stack.enter_context(caller.dialling(each.service)) for each in booked]
        for phone in callers:
            phone.wait()
        talked = [Outcome(phone.messages()).talked or 0 for phone in callers]
    overruns = sorted(round((seconds - LIMIT_SECONDS) * 1000, 1) for seconds in talked)
    print(f"\noverrun of {CALLS} calls at {LIMIT_SECONDS} s, ms from ACK to BYE: {overruns}")  # noqa: T201  the figure
    assert all(lasted(seconds, LIMIT_SECONDS) for seconds in talked)
    for booking in booked:
        assert [cdr["duration"] for cdr in booking.wait_settled()] == [3]
