"""Credit that always adds up, calls that end once, and seconds rounded in one direction only."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import IllegalTransition, InvariantBroken
from engine.domain.metering import (
    CLOCK_STEP_MS,
    MESSAGE_MS,
    CallEvent,
    CallState,
    Credit,
    least_without_clock_step,
    next_state,
    seconds_charged,
    seconds_to_lease,
    talk_limit_ms,
    without_clock_step,
)

UP = (CallState.RINGING, CallState.LIVE)
ENDED = (CallState.SETTLED, CallState.VOIDED)
LEADS_TO = {
    CallEvent.ANSWERED: CallState.LIVE,
    CallEvent.ENDED_ANSWERED: CallState.SETTLED,
    CallEvent.ENDED_UNANSWERED: CallState.VOIDED,
}

parts = st.integers(min_value=-3, max_value=6)
amounts = st.integers(min_value=0, max_value=10**9)
steps = st.one_of(
    st.tuples(st.just("top_up"), amounts),
    st.tuples(st.just("lease"), amounts),
    st.tuples(st.just("settle"), amounts, st.integers(min_value=-1, max_value=10**9)),
)


@given(parts, parts, parts, parts)
def test_credit_exists_only_with_parts_that_add_up(granted: int, remaining: int, leased: int, settled: int) -> None:
    adds_up = granted == remaining + leased + settled and min(remaining, leased, settled) >= 0
    if adds_up:
        assert Credit(granted, remaining, leased, settled).unspent == granted - settled
    else:
        with pytest.raises(InvariantBroken):
            Credit(granted, remaining, leased, settled)


@given(amounts, st.lists(steps, max_size=30))
def test_any_order_of_operations_keeps_credit_balanced(first: int, taken: list[tuple[str, *tuple[int, ...]]]) -> None:
    credit, granted, settled = Credit.new(first), first, 0
    for name, *figures in taken:
        try:
            credit = getattr(credit, name)(*figures)
        except InvariantBroken:
            continue
        granted += figures[0] if name == "top_up" else 0
        settled += figures[1] if name == "settle" else 0
        assert (credit.granted, credit.settled) == (granted, settled)
        assert credit.remaining + credit.leased + credit.settled == credit.granted
        assert min(credit.remaining, credit.leased, credit.settled) >= 0


@given(amounts, st.data())
def test_an_unused_lease_is_returned_whole(amount: int, data: st.DataObject) -> None:
    leased = data.draw(st.integers(0, amount))
    assert Credit.new(amount).lease(leased).settle(leased, 0) == Credit.new(amount)


@pytest.mark.parametrize(("settled", "used"), [(10, -1), (10, 11), (11, 0)])
def test_no_more_is_settled_or_used_than_was_leased(settled: int, used: int) -> None:
    with pytest.raises(InvariantBroken):
        Credit.new(100).lease(10).settle(settled, used)


@pytest.mark.parametrize(("state", "event"), [*product(UP, CallEvent)])
def test_a_live_call_accepts_every_event(state: CallState, event: CallEvent) -> None:
    assert next_state(state, event) is LEADS_TO[event]


@pytest.mark.parametrize(("state", "event"), [*product(ENDED, CallEvent)])
def test_an_ended_call_never_changes_state(state: CallState, event: CallEvent) -> None:
    with pytest.raises(IllegalTransition):
        next_state(state, event)


def test_every_state_of_a_call_is_up_or_ended() -> None:
    assert {*UP, *ENDED} == set(CallState)


@pytest.mark.parametrize(
    ("answered_ms", "charged"),
    [(-5_000, 0), (0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_000, 59), (59_001, 60), (60_001, 60)],
)
def test_every_started_second_counts_up_to_the_lease(answered_ms: int, charged: int) -> None:
    assert seconds_charged(answered_ms, leased=60) == charged


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_the_charge_covers_the_duration_and_not_a_second_more(answered_ms: int, leased: int) -> None:
    charged = seconds_charged(answered_ms, leased)
    assert 1 <= charged <= leased
    assert (charged - 1) * 1000 < answered_ms
    assert charged == leased or answered_ms <= charged * 1000


@pytest.mark.parametrize(
    ("remaining", "until_end_ms", "longest", "leased"),
    [
        (60, 60_000, 60, 60),
        (59, 60_000, 60, 59),
        (60, 60_000, 59, 59),
        (60, 59_000, 60, 59),
        (60, 59_001, 60, 60),
        (60, 1, 60, 1),
        (60, 0, 60, 0),
        (60, -1, 60, 0),
        (60, -5_000, 60, 0),
        (0, 60_000, 60, 0),
    ],
)
def test_the_least_of_credit_validity_and_longest_call_is_leased(
    remaining: int, until_end_ms: int, longest: int, leased: int
) -> None:
    assert seconds_to_lease(remaining, until_end_ms, longest) == leased


@pytest.mark.parametrize(
    ("leased", "talked_ms", "until_end_ms", "limit"),
    [
        (60, 0, 60_001, 60_000),
        (60, 0, 60_000, 60_000),
        (60, 0, 59_999, 59_999),
        (1, 0, 1, 1),
        (60, 0, 0, 0),
        (60, 0, -1, 0),
        (60, 1, 60_000, 59_999),
        (60, 59_999, 60_000, 1),
        (60, 60_000, 60_000, 0),
        (60, 60_001, 60_000, 0),
        (60, 50_000, 9_999, 9_999),
    ],
)
def test_a_call_is_cut_at_its_lease_or_at_the_end_of_the_booking(
    leased: int, talked_ms: int, until_end_ms: int, limit: int
) -> None:
    assert talk_limit_ms(leased, talked_ms, until_end_ms) == limit


@given(st.integers(0, 10**6), st.integers(1, 10**9), st.integers(1, 10**5))
def test_a_call_cut_at_its_limit_is_charged_what_it_lasted(remaining: int, until_end_ms: int, longest: int) -> None:
    leased = seconds_to_lease(remaining, until_end_ms, longest)
    limit = talk_limit_ms(leased, 0, until_end_ms)
    assert seconds_charged(limit, leased) == -(-limit // 1000)


@given(st.integers(1, 10**5), st.integers(0, 10**8), st.integers(1, 10**9))
def test_a_limit_sent_late_does_not_end_the_call_later(leased: int, talked_ms: int, until_end_ms: int) -> None:
    limit = talk_limit_ms(leased, talked_ms, until_end_ms)
    assert talked_ms + limit <= max(talked_ms, leased * 1000)
    assert limit <= talk_limit_ms(leased, 0, until_end_ms)


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("reported_ms", "set_by", "talked_ms"),
    [
        (60_000, 0, 60_000),
        (60_000, CLOCK_STEP_MS, 60_000),
        (60_000, -CLOCK_STEP_MS, 60_000),
        (60_000 + HOUR, HOUR, 60_000),
        (60_000 - 10_000, -10_000, 60_000),
        (60_000 + CLOCK_STEP_MS + 1, CLOCK_STEP_MS + 1, 60_000),
        (60_000 - HOUR, -HOUR, 60_000),
        # Answered for less than the clock's resolution, but answered.
        (1, HOUR, 1),
        (0, HOUR, 0),
    ],
)
def test_a_change_of_the_wall_clock_is_not_talk_time(reported_ms: int, set_by: int, talked_ms: int) -> None:
    assert without_clock_step(reported_ms, engine_step_ms=set_by, asterisk_step_ms=set_by) == talked_ms


@pytest.mark.parametrize(
    ("ours", "asterisks", "talked_ms"),
    [
        # Delayed messages, and no clock was set.
        (0, MESSAGE_MS, 60_000),
        (0, -MESSAGE_MS, 60_000),
        # One machine whose clock was set: ours is exact.
        (HOUR, HOUR + 900, 60_000 - HOUR),
        (-HOUR, -HOUR - MESSAGE_MS, 60_000 + HOUR),
        # Only our clock was set, or it was set while the call rang.
        (HOUR, 0, 60_000),
        (-HOUR, 40, 60_000),
        # Only Asterisk's clock was set.
        (0, -HOUR, 60_000 + HOUR),
        (0, 20_000, 40_000),
        # Both clocks were set, each by another step.
        (-HOUR, 20_000, 40_000),
    ],
)
def test_the_duration_follows_asterisks_clock_and_is_exact_when_ours_agrees(
    ours: int, asterisks: int, talked_ms: int
) -> None:
    assert without_clock_step(60_000, engine_step_ms=ours, asterisk_step_ms=asterisks) == max(1, talked_ms)
    assert without_clock_step(0, engine_step_ms=ours, asterisk_step_ms=asterisks) == 0


@pytest.mark.parametrize(
    ("reported_ms", "set_by", "talked_ms"),
    [
        (0, 0, 0),
        (0, HOUR, 0),
        (0, -HOUR, 0),
        (60_000, 0, 60_000),
        # NTP steers the clock: no step.
        (60_000, CLOCK_STEP_MS, 60_000),
        (60_000, -CLOCK_STEP_MS, 60_000),
        # Set forward during the call, and after its end.
        (60_000 + HOUR, HOUR, 60_000),
        (60_000, HOUR, 60_000),
        # Set back during the call, and after its end.
        (60_000 - HOUR, -HOUR, 60_000),
        (60_000, -HOUR, 60_000),
        # Nothing tells whether it lasted 4,000 s or 400 s: the customer does not pay for the doubt.
        (4_000_000, HOUR, 400_000),
        (400_000, -HOUR, 400_000),
        # Answered, but no duration is possible: the clock was set more than once, or on another machine.
        (-5_000, 0, 1),
        (-5_000, HOUR, 1),
        (-2 * HOUR, -HOUR, 1),
        (-HOUR, -HOUR, 1),
    ],
)
def test_the_shortest_possible_duration_counts_if_the_clock_was_set_at_an_unknown_time(
    reported_ms: int, set_by: int, talked_ms: int
) -> None:
    assert least_without_clock_step(reported_ms, set_by) == talked_ms


@given(talked_ms=st.integers(1, 10 * HOUR), step=st.integers(-30 * HOUR, 30 * HOUR), during_call=st.booleans())
def test_a_step_at_an_unknown_time_never_lengthens_a_call_and_never_makes_it_free(
    talked_ms: int, step: int, *, during_call: bool
) -> None:
    reported = talked_ms + step if during_call else talked_ms
    counted = least_without_clock_step(reported, step)
    assert counted >= (1 if reported else 0)
    assert counted <= talked_ms + (CLOCK_STEP_MS if abs(step) <= CLOCK_STEP_MS else 0)
