"""Which ringing call gives way, and how long each one rings before it does."""

from dataclasses import replace

import pytest

from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import BookingLimits
from engine.domain.rejections import REJECTIONS, Reason
from engine.domain.ringing import SPARED_MS, RingingCall, gives_way
from engine.domain.routing import Bridge, EndRinging, Facts, decide, judge
from engine.domain.times import BootMs
from tests.contract.samples import CALLER, POLICY, SECOND, START, a_booking
from tests.unit.test_routing import up

NOW = BootMs(1_000 * SECOND)


def ringing(*seconds: float) -> list[RingingCall]:
    """Returns calls that have rung for so long; each is named by that."""
    return [RingingCall(CallId(f"{each:g}"), BootMs(NOW - round(each * SECOND))) for each in seconds]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((), None),
        ((9.999,), None),
        ((10,), "10"),
        # The oldest has rung for long enough, however new the others are.
        ((0, 3, 10, 0), "10"),
        ((9.999, 0), None),
        # All are new: they take turns, and the turn of the last one comes after ten seconds.
        ((5, 5), "5"),
        ((4.999, 4.999), None),
        ((9, 4.999), None),
        ((1,) * 10, "1"),
        ((0.999,) * 10, None),
    ],
)
def test_the_call_that_has_rung_longest_gives_way_after_its_time(
    seconds: tuple[float, ...], expected: str | None
) -> None:
    assert gives_way(ringing(*seconds), NOW) == expected


@pytest.mark.parametrize("lines", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("every_ms", [1, 70, 1_000, 5_000])
def test_however_many_newcomers_there_are_calls_ring_for_ten_seconds_and_no_line_stays_closed(
    lines: int, every_ms: int
) -> None:
    calls: list[RingingCall] = []
    rang: list[int] = []
    taken = refused = 0
    for now in range(0, 60 * SECOND, every_ms):
        if len(calls) == lines:
            call_id = gives_way(calls, BootMs(now))
            if call_id is None:
                refused += 1
                continue
            rang += [now - each.started for each in calls if each.call_id == call_id]
            calls = [each for each in calls if each.call_id != call_id]
        calls.append(RingingCall(CallId(str(now)), BootMs(now)))
        taken += 1
    # After a burst the first gives way soon. Then the places go round.
    assert all(ms >= SPARED_MS / lines for ms in rang[:lines])
    assert all(ms >= SPARED_MS * (lines - 1) / lines for ms in rang[lines:])
    # Newcomers are let in about as fast as that allows.
    assert taken >= min(60 * SECOND // every_ms, 5 * lines)
    assert not refused or every_ms < SPARED_MS / lines


ALL = {
    Reason.CALLER_RINGING: (Facts(up(1), ANONYMOUS, caller_ringing=3, share=60)),
    Reason.CONCURRENCY_LIMIT: (Facts(up(2, max_concurrent_calls=2), CALLER, share=60)),
    Reason.ACCOUNT_LIMIT: (Facts(up(2), CALLER, account_calls=7, account_limit=7, share=60)),
}
RINGING_LIMITED = replace(POLICY, max_ringing_calls_per_caller=1)


@pytest.mark.parametrize("limit", ALL)
def test_at_each_limit_of_calls_at_once_a_ringing_call_gives_way(limit: Reason) -> None:
    facts, first = ALL[limit], CallId("first")
    assert judge(facts, START, RINGING_LIMITED) is limit
    facts = replace(facts, gives_way={limit: first})
    assert judge(facts, START, RINGING_LIMITED) is Reason.PUT_THROUGH
    assert decide(facts, START, RINGING_LIMITED) == EndRinging(first)
    assert decide(facts, START, RINGING_LIMITED, room_was_made=True) == REJECTIONS[limit]


def test_no_call_gives_way_where_the_end_of_one_does_not_suffice() -> None:
    """The limit was lowered below the calls that are up."""
    facts = Facts(
        up(3, max_concurrent_calls=2), CALLER, gives_way={Reason.CONCURRENCY_LIMIT: CallId("first")}, share=60
    )
    assert decide(facts, START, POLICY) == REJECTIONS[Reason.CONCURRENCY_LIMIT]


def test_no_call_gives_way_below_every_limit_or_for_a_call_that_is_refused_anyway() -> None:
    every = dict.fromkeys((Reason.CALLER_RINGING, Reason.CONCURRENCY_LIMIT, Reason.ACCOUNT_LIMIT), CallId("first"))
    assert isinstance(decide(Facts(up(1), CALLER, gives_way=every, share=60), START, POLICY), Bridge)
    paused = a_booking(paused=True, limits=BookingLimits(max_concurrent_calls=1))
    assert decide(Facts(paused, CALLER, gives_way=every, share=60), START, POLICY) == REJECTIONS[Reason.PAUSED]


@pytest.mark.parametrize(("source", "most"), [(CALLER, 2), (ANONYMOUS, 6)])
def test_callers_without_a_number_may_have_three_times_as_many_calls_ringing(source: str, most: int) -> None:
    assert replace(POLICY, max_ringing_calls_per_caller=2).most_ringing(source) == most
    assert POLICY.most_ringing(source) is None
