"""Many calls at once to one booking: nothing is overspent, and each waits only briefly for its route.

`-s` prints the figures.
"""

from collections.abc import Iterator

import pytest

from phones.messages import Message, by_call, final_status
from tests.e2e.calls import Caller, Outcome, is_charged, wait_talking
from tests.e2e.system import System

CROWD, BURST = 50, 20
SHARED_SECONDS = 150
# A busy machine decides late; Asterisk itself gives up after three seconds.
LONGEST_WAIT = 2.5


class CrowdedSystem(System):
    """A system with ports for a crowd."""

    rtp_ports = 500


@pytest.fixture(scope="module")
def crowded() -> Iterator[System]:
    with CrowdedSystem(
        longest_call=SHARED_SECONDS,
        max_undecided_calls=1000,  # all calls of the crowd must reach the engine
        max_concurrent_calls=100,
        plans={
            "SMALL": {"seconds": SHARED_SECONDS, "calls": 100, "valid_for": 3600},
            "MEDIUM": {"seconds": 60, "calls": 1, "valid_for": 3600},
            "LARGE": {"seconds": 1200, "calls": 100, "valid_for": 3600},
        },
    ) as system:
        yield system


def _traces(messages: list[Message]) -> list[list[Message]]:
    return list(by_call(messages).values())


def _waits(traces: list[list[Message]]) -> list[float]:
    """Seconds from each INVITE until it rings or is refused: until the engine has decided."""
    waits = []
    for trace in traces:
        decided = next(m.at for m in trace if m.method == "INVITE" and m.status is not None and m.status > 100)
        waits.append(decided - trace[0].at)
    return sorted(waits)


def _spread(waits: list[float]) -> str:
    p50, p99 = waits[len(waits) // 2], waits[min(len(waits) - 1, int(len(waits) * 0.99))]
    return f"p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms"


def test_exactly_one_of_a_crowd_is_bridged_on_credit_for_one(crowded: System) -> None:
    booked, caller = crowded.book("MEDIUM"), Caller(crowded)
    with (
        caller.hidden(),
        caller.dialling(booked.service, "uac_hangs_up", calls=CROWD, keys={"talk": 1500}) as callers,
    ):
        # Most of the refused calls are counted on the record of another one.
        crowded.until(
            lambda: sum(1 + call["furtherCalls"] for call in booked.calls) == CROWD, f"records of {CROWD} calls"
        )
        traces = _traces(callers.messages())
    assert sorted(final_status(trace) or 0 for trace in traces) == [200] + [486] * (CROWD - 1)
    [talked] = [Outcome(trace).talked for trace in traces if final_status(trace) == 200]
    assert is_charged(60 - booked.now["secondsRemaining"], talked)
    assert booked.now["callsRemaining"] == 0
    print(f"\n{CROWD} calls at once on credit for one: 1 bridged; decided after {_spread(_waits(traces))}")  # noqa: T201


def test_a_crowd_shares_the_seconds_and_spends_no_more(crowded: System) -> None:
    booked, caller = crowded.book("SMALL"), Caller(crowded)
    with caller.hidden(calls=CROWD), caller.dialling(booked.service, calls=CROWD) as callers:
        callers.wait()
        traces = _traces(callers.messages())
    outcomes = [Outcome(trace) for trace in traces]
    talked = sum(outcome.talked or 0 for outcome in outcomes)
    # Refused calls may be counted on the record of another one.
    crowded.until(lambda: sum(1 + call["furtherCalls"] for call in booked.calls) == CROWD, f"records of {CROWD} calls")
    records = booked.calls
    statuses = sorted(outcome.status or 0 for outcome in outcomes)
    print(  # noqa: T201  the figures
        f"\n{CROWD} calls at once on {SHARED_SECONDS} s: {statuses.count(200)} answered, talked {talked:.1f} s, "
        f"charged {sum(record['duration'] for record in records)} s; decided after {_spread(_waits(traces))}"
    )
    assert set(statuses) <= {200, 486}
    assert sum(record["duration"] for record in records) <= SHARED_SECONDS
    assert talked <= SHARED_SECONDS + 0.1 * CROWD, "no call talks longer than its lease"
    assert crowded.command("ledger", "verify", "--json") == []


@pytest.mark.parametrize("up", ["ringing", "talking"])
def test_a_burst_of_callers_gets_its_routes_although_room_is_made_for_each(crowded: System, up: str) -> None:
    """The first call has leased everything that one call may."""
    booked, caller = crowded.book("SMALL"), Caller(crowded)
    ring = 4000 if up == "ringing" else 100
    with (
        caller.hidden(calls=BURST + 1, ring=ring),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 3000}) as first,
    ):
        if up == "ringing":
            crowded.until(lambda: any(m.status == 180 for m in first.messages()), "it rings")
        else:
            wait_talking(crowded, first)
        with caller.dialling(booked.service, "uac_hangs_up", calls=BURST, keys={"talk": 500}) as burst:
            burst.wait()
            traces = _traces(burst.messages())
        first.wait()
    statuses = sorted(final_status(trace) or 0 for trace in traces)
    waits = _waits(traces)
    print(f"\nburst of {BURST} while one is {up}: {statuses.count(200)} bridged, routes after {_spread(waits)}")  # noqa: T201
    assert statuses == [200] * BURST
    assert waits[-1] < LONGEST_WAIT
    assert sum(record["duration"] for record in booked.wait_settled(BURST + 1)) <= SHARED_SECONDS
    assert crowded.command("ledger", "verify", "--json") == []
