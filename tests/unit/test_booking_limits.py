"""Limits that a booking or the operator sets: which one applies, and when it is reached."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.booking import Booking, limits_in_force, longest_call, room_for_call
from engine.domain.explanation import SENTENCES, Explanation, LimitedBy, limited_by
from engine.domain.metering import Credit
from engine.domain.number_plan import caller_of, is_caller
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import NO_BOOKING_LIMITS, BookingLimits
from engine.domain.rejections import Reason
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


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_no_explanation_contains_the_hidden_number(reason: Reason) -> None:
    explanation = Explanation(a_booking(), CALLER, START, reason, 7, LimitedBy.SECONDS_LEFT, 2, 1, 4, 5)
    sentence = explanation.sentence(STRICT)
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert HIDDEN[-6:] not in sentence


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
