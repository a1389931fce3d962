"""`explain` predicts what a call at the same moment gets, whatever came before, and writes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.bookings.explain import explain
from engine.domain.account_limits import AccountLimits
from engine.domain.booking import BookingStatus, status_at
from engine.domain.destinations import DEFAULT_DESTINATIONS, AllowedDestinations
from engine.domain.errors import BookingGone, NotFound
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.rejections import REJECTIONS, Reason
from engine.domain.routing import Bridge
from engine.domain.times import HOUR_MS
from tests.contract.line import CALLERS, TIGHT, Line
from tests.contract.samples import CALLER, DAY, HIDDEN, POLICY, SECOND

small_limit = st.none() | st.none() | st.integers(1, 4)
long_limit = st.none() | st.none() | st.sampled_from([1, 5, 30, 300])
some_limits = st.builds(BookingLimits, small_limit, small_limit, long_limit)
STEPS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(CALLERS)),
    st.tuples(st.just("talk"), st.sampled_from(CALLERS)),
    st.tuples(st.just("answer"), st.integers(0, 9)),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from([0, 1, 30 * SECOND, 60 * SECOND])),
    st.tuples(st.just("renew"), st.fixed_dictionaries({}, optional={"max_call_seconds": long_limit})),
    st.tuples(st.sampled_from(["block", "unblock"]), st.sampled_from(CALLERS)),
    st.tuples(st.just("refuse anonymous"), st.booleans()),
    st.tuples(st.just("allow"), st.sampled_from([DEFAULT_DESTINATIONS, AllowedDestinations(frozenset({"FR"}))])),
    st.tuples(st.just("adjust"), st.sampled_from([-100, -3, 3]), st.sampled_from([-5, -1, 0, 1])),
    st.tuples(st.sampled_from(["suspend", "resume", "resume"])),
    st.tuples(
        st.just("time"),
        st.sampled_from(
            [1, 400, SECOND, 7 * SECOND, 30 * SECOND, HOUR_MS - 1, HOUR_MS, DAY - 5 * SECOND, DAY, 8 * DAY]
        ),
    ),
)


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    plan=st.sampled_from(UsagePlan),
    own=some_limits,
    default=some_limits,
    steps=st.lists(STEPS, max_size=20),
    source=st.sampled_from(CALLERS),
    ringing=st.none() | st.integers(1, 2),
    at_once=st.sampled_from([2, 3, 100]),
    loop=st.sampled_from([False] * 7 + [True]),
)
def test_an_explanation_equals_what_the_next_call_gets(
    template: Path,
    plan: UsagePlan,
    own: BookingLimits,
    default: BookingLimits,
    steps: list[tuple[Any, ...]],
    source: str,
    ringing: int | None,
    at_once: int,
    *,
    loop: bool,
) -> None:
    tight = replace(TIGHT, default_limits=default, max_ringing_calls_per_caller=ringing)
    line = Line(template, plan, own, replace(tight, account_limits=AccountLimits(calls_at_once=at_once)))
    try:
        for step in [*steps, *([("import", HIDDEN)] if loop else [])]:
            line.do(step)
        check(line, source)
    finally:
        line.close()


def check(line: Line, source: str) -> None:
    before = line.written()
    try:
        explanation = line.explain(source)
    except BookingGone:
        assert line.route(source) == REJECTIONS[Reason.NO_BOOKING]
        return
    assert line.written() == before
    assert (explanation.seconds > 0) == explanation.put_through == (explanation.limited_by is not None)
    decision = line.route(source)
    if not explanation.put_through:
        assert decision == REJECTIONS[explanation.reason]
        return
    assert isinstance(decision, Bridge)
    # A second that cannot be shared equally goes to one of the calls.
    assert explanation.seconds <= line.answer(line.calls[-1]) <= explanation.seconds + 1


@pytest.mark.parametrize(
    ("steps", "source", "reason"),
    [
        ([("block", CALLER)], CALLER, Reason.CALLER_BLOCKED),
        ([("block", CALLER)], "+14155550199", Reason.PUT_THROUGH),
        ([("block", CALLER), ("unblock", CALLER)], CALLER, Reason.PUT_THROUGH),
        ([("refuse anonymous", True)], ANONYMOUS, Reason.ANONYMOUS_REFUSED),
        ([("refuse anonymous", True)], CALLER, Reason.PUT_THROUGH),
        ([("allow", AllowedDestinations(frozenset({"FR"})))], CALLER, Reason.DESTINATION_NOT_ALLOWED),
        ([("adjust", -300, 0)], CALLER, Reason.SECONDS_SPENT),
        ([("adjust", -300, 0), ("suspend",)], CALLER, Reason.ACCOUNT_SUSPENDED),
        ([("talk", CALLER), ("suspend",)], CALLER, Reason.ACCOUNT_SUSPENDED),
        ([("suspend",), ("resume",)], CALLER, Reason.PUT_THROUGH),
        ([("adjust", 0, -10)], CALLER, Reason.CALLS_SPENT),
        ([("talk", CALLER), ("adjust", -300, 0)], CALLER, Reason.SECONDS_HELD),
        ([("talk", CALLER), ("adjust", 0, -10)], CALLER, Reason.CALLS_HELD),
    ],
)
def test_every_choice_of_owner_and_operator_is_explained(
    template: Path, steps: list[tuple[Any, ...]], source: str, reason: Reason
) -> None:
    line = Line(template, UsagePlan.MEDIUM, BookingLimits(), POLICY)
    for step in steps:
        line.do(step)
    explanation = line.explain(source)
    assert explanation.reason is reason
    assert HIDDEN[-6:] not in explanation.sentence(line.policy)
    assert "{" not in explanation.sentence(line.policy)
    check(line, source)
    line.close()


@pytest.fixture
def line(template: Path) -> Any:
    """A booking of 300 s and ten calls, with at most 60 s for each call."""
    line = Line(template, UsagePlan.MEDIUM, BookingLimits(), POLICY)
    yield line
    line.close()


def test_the_explained_seconds_are_the_remaining_ones_up_to_the_longest_call(line: Line) -> None:
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (60, "longest_call")
    line.route(CALLER)
    line.answer(CallId("c000"))
    line.end(CallId("c000"), 50 * SECOND)
    line.renew({"max_call_seconds": 20})
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (20, "max_call_seconds")
    line.now = line.stored().end_at - 3 * SECOND
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (3, "end_time")


def test_seconds_that_live_calls_would_return_count(line: Line) -> None:
    for index in range(5):
        line.route(CALLER)
        line.answer(CallId(f"c{index:03}"))
    assert line.stored().seconds.remaining == 0
    before = line.written()
    explanation = line.explain(CALLER)
    assert (explanation.reason, explanation.seconds) == (Reason.PUT_THROUGH, 50)
    assert line.written() == before
    assert line.stored().seconds.remaining == 0


def test_an_explanation_counts_the_callers_calls_of_the_last_hour(line: Line) -> None:
    for source in (CALLER, CALLER, ANONYMOUS):
        line.route(source)
    assert [line.explain(source).caller_calls for source in (CALLER, ANONYMOUS, "+14155550199")] == [2, 1, 0]
    line.now += HOUR_MS
    assert line.explain(CALLER).caller_calls == 0


def test_another_accounts_booking_is_not_explained(line: Line) -> None:
    with pytest.raises(NotFound):
        explain(line.tx, AccountId("acc_other"), line.booking.id, CALLER, line.at, line.policy)
    with pytest.raises(NotFound):
        explain(line.tx, line.account, BookingId("bkg_unknown"), CALLER, line.at, line.policy)


def test_a_booking_is_explained_in_its_grace_and_not_afterwards(line: Line) -> None:
    end_at = line.stored().end_at
    line.now = end_at
    assert line.explain(CALLER).reason is Reason.END_REACHED
    assert status_at(line.stored(), line.now, line.policy) is BookingStatus.EXPIRED
    line.now = end_at + POLICY.grace_ms
    with pytest.raises(BookingGone):
        line.explain(CALLER)
