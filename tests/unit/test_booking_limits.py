"""Limits that a booking or the operator sets: which one applies, and when it is reached."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.booking import Booking, limits_in_force, longest_call
from engine.domain.explanation import SENTENCES, Explanation, LimitedBy, limited_by, room_for_call
from engine.domain.ids import CallId
from engine.domain.metering import CallState, Credit
from engine.domain.numbers import ANONYMOUS, caller_of, is_caller
from engine.domain.policy import NO_BOOKING_LIMITS, BookingLimits
from engine.domain.routing import (
    REJECTIONS,
    Bridge,
    Cause,
    Disposition,
    Facts,
    MakeRoom,
    Reason,
    Reject,
    decide,
    judge,
)
from engine.domain.sharing import Holding, fair_leases
from engine.domain.times import EpochMs
from tests.contract.samples import CALLER, HIDDEN, POLICY, SECOND, START, a_booking

DEFAULTS = BookingLimits(max_concurrent_calls=3, max_calls_per_caller_per_hour=5, max_call_seconds=20)
STRICT = replace(POLICY, default_limits=DEFAULTS)

some_limit = st.none() | st.integers(1, 50)
some_limits = st.builds(BookingLimits, some_limit, some_limit, some_limit)


def up(calls: int, **limits: int | None) -> Booking:
    """Returns a booking with that many live calls, of ten."""
    return a_booking(calls=Credit(10, 10 - calls, calls, 0), limits=BookingLimits(**limits))


@given(some_limits, some_limits)
def test_a_bookings_own_limit_overrides_the_operators(own: BookingLimits, default: BookingLimits) -> None:
    both = own.or_else(default)
    for limit in fields(BookingLimits):
        mine = getattr(own, limit.name)
        assert getattr(both, limit.name) == (getattr(default, limit.name) if mine is None else mine)


def test_without_any_limits_a_booking_has_none() -> None:
    assert limits_in_force(a_booking(), POLICY) == NO_BOOKING_LIMITS


@pytest.mark.parametrize(
    ("own", "default", "longest"), [(None, None, 60), (7, None, 7), (None, 20, 20), (30, 20, 30), (61, 20, 60)]
)
def test_a_call_is_never_longer_than_the_operator_s_longest(own: int | None, default: int | None, longest: int) -> None:
    policy = replace(POLICY, default_limits=BookingLimits(max_call_seconds=default))
    assert longest_call(a_booking(limits=BookingLimits(max_call_seconds=own)), policy) == longest


def test_the_last_call_below_each_limit_is_bridged_and_the_next_is_refused() -> None:
    assert judge(Facts(up(1, max_concurrent_calls=2)), START, POLICY) is Reason.PUT_THROUGH
    assert judge(Facts(up(2, max_concurrent_calls=2)), START, POLICY) is Reason.CONCURRENCY_LIMIT
    booking = a_booking(limits=BookingLimits(max_calls_per_caller_per_hour=3))
    assert judge(Facts(booking, caller_calls=2), START, POLICY) is Reason.PUT_THROUGH
    assert judge(Facts(booking, caller_calls=3), START, POLICY) is Reason.CALLER_LIMIT


def test_a_limit_lowered_below_the_live_calls_refuses_the_next_call() -> None:
    assert judge(Facts(up(5, max_concurrent_calls=2)), START, POLICY) is Reason.CONCURRENCY_LIMIT


def test_the_operators_defaults_apply_where_the_booking_has_no_limit() -> None:
    assert judge(Facts(up(3)), START, STRICT) is Reason.CONCURRENCY_LIMIT
    assert judge(Facts(up(3, max_concurrent_calls=4)), START, STRICT) is Reason.PUT_THROUGH
    assert judge(Facts(up(0), caller_calls=5), START, STRICT) is Reason.CALLER_LIMIT


def test_a_concurrency_limit_is_486_and_a_caller_limit_403_without_a_callback() -> None:
    assert decide(Facts(up(2, max_concurrent_calls=2)), START, POLICY) == Reject(
        cause=Cause(17), disposition=Disposition.CONCURRENCY_LIMIT, notify_expired=False
    )
    assert decide(Facts(a_booking(limits=DEFAULTS), caller_calls=5), START, POLICY) == Reject(
        cause=Cause(21), disposition=Disposition.CALLER_LIMIT, notify_expired=False
    )


def test_the_first_of_several_reasons_decides() -> None:
    """Every reason to refuse applies at first; then one after the other is removed."""
    all_held = {"calls": Credit(3, 0, 3, 0), "seconds": Credit(60, 0, 60, 0)}
    booking = a_booking(exhausted_at=START, limits=DEFAULTS, **all_held)
    facts = Facts(booking, destination_is_ours=True, caller_calls=5)
    later = START + POLICY.grace_ms
    seen = [judge(facts, EpochMs(later), POLICY), judge(facts, START, POLICY)]
    facts = replace(facts, booking=replace(booking, exhausted_at=None))
    seen.append(judge(facts, START, POLICY))
    facts = replace(facts, destination_is_ours=False)
    seen.append(judge(facts, START, POLICY))
    facts = replace(facts, caller_calls=0)
    seen.append(judge(facts, START, POLICY))
    freed: list[dict[str, Any]] = [{"limits": NO_BOOKING_LIMITS}, {"calls": Credit.new(3)}, {"seconds": Credit.new(60)}]
    for changes in freed:
        assert facts.booking is not None
        facts = replace(facts, booking=replace(facts.booking, **changes))
        seen.append(judge(facts, START, POLICY))
    assert seen == [
        Reason.NO_BOOKING,
        Reason.CALLS_SPENT,
        Reason.DESTINATION_IS_OURS,
        Reason.CALLER_LIMIT,
        Reason.CONCURRENCY_LIMIT,
        Reason.CALLS_HELD,
        Reason.SECONDS_HELD,
        Reason.PUT_THROUGH,
    ]


@pytest.mark.parametrize(
    ("changes", "now", "reason"),
    [
        ({}, a_booking().end_at, Reason.END_REACHED),
        ({"exhausted_at": START, "seconds": Credit(60, 0, 0, 60)}, START, Reason.SECONDS_SPENT),
        ({"exhausted_at": START, "calls": Credit(1, 0, 0, 1)}, START, Reason.CALLS_SPENT),
    ],
)
def test_an_expired_booking_names_the_reason_of_its_expiry(
    changes: dict[str, object], now: EpochMs, reason: Reason
) -> None:
    assert judge(Facts(a_booking(**changes)), now, POLICY) is reason


def test_max_call_seconds_bounds_the_lease_of_a_ringing_call() -> None:
    booking = a_booking(limits=BookingLimits(max_call_seconds=2))
    assert decide(Facts(booking), START, POLICY) == Bridge(
        booking, seconds=2, ring_seconds=POLICY.ring_seconds, shown=ANONYMOUS
    )


def test_a_call_asks_other_calls_to_make_room_only_once() -> None:
    facts = Facts(a_booking(seconds=Credit(300, 0, 300, 0)))
    assert isinstance(decide(facts, START, POLICY), MakeRoom)
    assert decide(facts, START, POLICY, room_was_made=True) == REJECTIONS[Reason.SECONDS_HELD]


def test_every_reason_has_a_sentence_and_every_refusal_an_answer() -> None:
    assert set(SENTENCES) == set(Reason)
    assert set(REJECTIONS) == set(Reason) - {Reason.PUT_THROUGH}


@pytest.mark.parametrize("reason", Reason)
def test_no_explanation_contains_the_hidden_number(reason: Reason) -> None:
    explanation = Explanation(a_booking(), CALLER, START, reason, 7, LimitedBy.SECONDS_LEFT, 2)
    said = explanation.sentence(STRICT)
    assert said.endswith(".")
    assert "{" not in said
    assert HIDDEN[-6:] not in said


@pytest.mark.parametrize(
    ("changes", "seconds", "now", "by"),
    [
        ({}, 59, START, LimitedBy.SECONDS_LEFT),
        ({}, 60, START, LimitedBy.LONGEST_CALL),
        ({"limits": BookingLimits(max_call_seconds=9)}, 9, START, LimitedBy.MAX_CALL_SECONDS),
        ({"limits": BookingLimits(max_call_seconds=9)}, 8, START, LimitedBy.SECONDS_LEFT),
        ({"limits": BookingLimits(max_call_seconds=900)}, 60, START, LimitedBy.LONGEST_CALL),
        ({}, 5, a_booking().end_at - 5 * SECOND, LimitedBy.END_TIME),
        ({}, 5, a_booking().end_at - 4 * SECOND - 1, LimitedBy.END_TIME),
    ],
)
def test_an_explanation_names_what_limits_the_call(
    changes: dict[str, object], seconds: int, now: EpochMs, by: LimitedBy
) -> None:
    booking = a_booking(**changes)
    assert limited_by(booking, seconds, now, POLICY) is by
    assert seconds <= room_for_call(booking, now, POLICY)


def test_a_lowered_max_call_seconds_shrinks_the_lease_of_a_call_that_is_alone() -> None:
    assert fair_leases(240, [Holding(CallId("c1"), CallState.LIVE, leased=60, used=10, longest=20)]) == {"c1": 20}


def test_a_call_past_its_lowered_max_call_seconds_keeps_only_what_it_used() -> None:
    assert fair_leases(240, [Holding(CallId("c1"), CallState.LIVE, leased=60, used=30, longest=20)]) == {"c1": 30}


@pytest.mark.parametrize(
    ("sent", "caller"),
    [("+32470123456", "+32470123456"), ("0032470123456", "+32470123456"), ("0470", "0470"), ("", ANONYMOUS)],
)
def test_a_caller_has_one_spelling_however_the_number_is_sent(sent: str, caller: str) -> None:
    assert caller_of(sent) == caller
    assert is_caller(caller)
    assert caller_of(caller) == caller


@pytest.mark.parametrize("text", ["", "anon", "+32 470", "+" * 33, "٣٢", "+32\n", "sip:+32470123456"])
def test_text_that_is_no_number_is_no_caller(text: str) -> None:
    assert not is_caller(text)
