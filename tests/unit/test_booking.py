"""The life of a booking: every transition in its table, every other one, and changes by time alone."""

from collections.abc import Callable
from itertools import product

import pytest

from engine.domain import booking as life
from engine.domain import call_credit
from engine.domain.booking import TRANSITIONS, Booking, BookingEvent, BookingStatus, status_at
from engine.domain.errors import BookingGone, BookingTooLong, IllegalTransition, InvariantBroken
from engine.domain.metering import Credit
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs
from tests.contract.samples import DAY, POLICY, START, a_booking

END = EpochMs(START + 7 * DAY)
GRACE_END = END + POLICY.grace_ms

IN_STATUS: dict[BookingStatus, list[tuple[Booking, int]]] = {
    BookingStatus.ACTIVE: [(a_booking(), START), (a_booking(), END - 1)],
    BookingStatus.EXPIRED: [(a_booking(), END), (a_booking(exhausted_at=START), START)],
    BookingStatus.GONE: [(a_booking(gone_at=START), START), (a_booking(), GRACE_END)],
}
APPLY: dict[BookingEvent, Callable[[Booking, int], Booking]] = {
    BookingEvent.RENEWED: lambda booking, now: life.renew(booking, UsagePlan.SMALL, EpochMs(now), POLICY),
    BookingEvent.ADJUSTED: lambda booking, now: life.adjust(booking, -1, 1, EpochMs(now), POLICY),
    BookingEvent.DELETED: lambda booking, now: life.delete(booking, EpochMs(now), POLICY),
    BookingEvent.GRACE_OVER: lambda booking, now: life.end_grace(booking, EpochMs(now), POLICY),
}
LEGAL = {
    (BookingStatus.ACTIVE, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    (BookingStatus.ACTIVE, BookingEvent.ADJUSTED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.ADJUSTED): BookingStatus.EXPIRED,
    (BookingStatus.ACTIVE, BookingEvent.DELETED): BookingStatus.GONE,
    (BookingStatus.EXPIRED, BookingEvent.DELETED): BookingStatus.GONE,
    (BookingStatus.GONE, BookingEvent.GRACE_OVER): BookingStatus.GONE,
}
ILLEGAL: dict[tuple[BookingStatus, BookingEvent], type[Exception]] = {
    (BookingStatus.GONE, BookingEvent.RENEWED): BookingGone,
    (BookingStatus.GONE, BookingEvent.ADJUSTED): BookingGone,
    (BookingStatus.GONE, BookingEvent.DELETED): BookingGone,
    (BookingStatus.ACTIVE, BookingEvent.GRACE_OVER): IllegalTransition,
    (BookingStatus.EXPIRED, BookingEvent.GRACE_OVER): IllegalTransition,
}


def test_these_tests_cover_every_pair_of_status_and_event() -> None:
    assert LEGAL.keys() | ILLEGAL.keys() == set(product(BookingStatus, BookingEvent))
    assert TRANSITIONS == LEGAL


@pytest.mark.parametrize(("status", "event"), LEGAL)
def test_a_transition_in_the_table_leads_to_its_status(status: BookingStatus, event: BookingEvent) -> None:
    for booking, now in IN_STATUS[status]:
        assert status_at(booking, EpochMs(now), POLICY) is status
        assert status_at(APPLY[event](booking, now), EpochMs(now), POLICY) is LEGAL[status, event]


@pytest.mark.parametrize(("status", "event"), ILLEGAL)
def test_a_transition_outside_the_table_is_refused(status: BookingStatus, event: BookingEvent) -> None:
    for booking, now in IN_STATUS[status]:
        assert status_at(booking, EpochMs(now), POLICY) is status
        with pytest.raises(ILLEGAL[status, event]):
            APPLY[event](booking, now)


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (START, BookingStatus.ACTIVE),
        (END - 1, BookingStatus.ACTIVE),
        (END, BookingStatus.EXPIRED),
        (GRACE_END - 1, BookingStatus.EXPIRED),
        (GRACE_END, BookingStatus.GONE),
    ],
)
def test_time_changes_a_bookings_status_to_the_millisecond(now: EpochMs, status: BookingStatus) -> None:
    assert status_at(a_booking(), now, POLICY) is status


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (-1, BookingStatus.ACTIVE),
        (0, BookingStatus.EXPIRED),
        (POLICY.grace_ms - 1, BookingStatus.EXPIRED),
        (POLICY.grace_ms, BookingStatus.GONE),
    ],
)
def test_grace_of_a_spent_booking_starts_when_it_is_spent(after: int, status: BookingStatus) -> None:
    spent = START + DAY
    assert status_at(a_booking(exhausted_at=spent), EpochMs(spent + after), POLICY) is status


def test_a_deleted_booking_is_gone_whatever_its_times_are() -> None:
    assert status_at(life.delete(a_booking(), START, POLICY), START, POLICY) is BookingStatus.GONE
    assert status_at(life.delete(a_booking(), START, POLICY), EpochMs(GRACE_END * 2), POLICY) is BookingStatus.GONE


def test_renewing_an_active_booking_adds_the_plan_to_what_is_left() -> None:
    booking = a_booking(seconds=Credit(300, 100, 50, 150), calls=Credit(10, 7, 1, 2))
    renewed = life.renew(booking, UsagePlan.LARGE, EpochMs(START + DAY), POLICY)
    assert renewed.seconds == Credit(3_900, 3_700, 50, 150)
    assert renewed.calls == Credit(110, 107, 1, 2)
    assert renewed.usage_plan is UsagePlan.LARGE
    assert renewed.end_at == END + 30 * DAY


@pytest.mark.parametrize(("now", "end_at"), [(END - 1, END + DAY), (END, END + DAY), (END + 1, END + 1 + DAY)])
def test_a_renewal_counts_from_the_later_of_now_and_the_end(now: EpochMs, end_at: int) -> None:
    assert life.renew(a_booking(), UsagePlan.SMALL, now, POLICY).end_at == end_at


def test_renewing_a_spent_booking_keeps_its_unused_days() -> None:
    spent = a_booking(exhausted_at=START + DAY, seconds=Credit(300, 0, 0, 300))
    renewed = life.renew(spent, UsagePlan.SMALL, EpochMs(START + 2 * DAY), POLICY)
    assert (renewed.end_at, renewed.exhausted_at) == (END + DAY, None)
    assert renewed.seconds == Credit(360, 60, 0, 300)


def test_a_renewal_may_reach_the_horizon_but_not_exceed_it() -> None:
    longest = POLICY.horizon_ms - 30 * DAY
    renewed = life.renew(a_booking(end_at=START + longest), UsagePlan.LARGE, START, POLICY)
    assert renewed.end_at == START + POLICY.horizon_ms
    with pytest.raises(BookingTooLong):
        life.renew(a_booking(end_at=START + longest + 1), UsagePlan.LARGE, START, POLICY)


@pytest.mark.parametrize(
    ("seconds", "calls", "spent"),
    [
        (Credit(60, 0, 60, 0), Credit(10, 9, 1, 0), True),
        (Credit(61, 1, 60, 0), Credit(10, 9, 1, 0), False),
        (Credit(99, 39, 60, 0), Credit(1, 0, 1, 0), True),
        (Credit(99, 39, 60, 0), Credit(2, 1, 1, 0), False),
        (Credit(90, 0, 90, 0), Credit(2, 0, 2, 0), False),
    ],
    ids=["no second", "one second", "no call", "one call", "another call still holds some"],
)
def test_a_booking_expires_when_its_last_second_or_call_is_used(seconds: Credit, calls: Credit, *, spent: bool) -> None:
    booking = a_booking(seconds=seconds, calls=calls)
    settled = call_credit.settle(booking, 60, 60, answered=True, now=START)
    assert settled.exhausted_at == (START if spent else None)
    assert (status_at(settled, START, POLICY) is BookingStatus.EXPIRED) == spent


def test_an_unanswered_call_returns_its_lease_and_expires_nothing() -> None:
    leased = call_credit.lease(a_booking(seconds=Credit.new(60), calls=Credit.new(1)), 60)
    settled = call_credit.settle(leased, 60, 0, answered=False, now=START)
    assert (settled.seconds, settled.calls) == (Credit.new(60), Credit.new(1))
    assert settled.exhausted_at is None


@pytest.mark.parametrize("now", [END, END + DAY])
def test_a_booking_spent_after_its_end_keeps_its_end(now: EpochMs) -> None:
    leased = call_credit.lease(a_booking(seconds=Credit.new(60), calls=Credit.new(1)), 60)
    settled = call_credit.settle(leased, 60, 60, answered=True, now=now)
    assert (settled.exhausted_at, settled.expires_at) == (None, END)


@pytest.mark.parametrize(("seconds", "calls"), [(59, 1), (60, 0)])
def test_a_lease_never_exceeds_the_remaining_credit(seconds: int, calls: int) -> None:
    with pytest.raises(InvariantBroken):
        call_credit.lease(a_booking(seconds=Credit.new(seconds), calls=Credit.new(calls)), 60)


@pytest.mark.parametrize(
    ("seconds", "wanted", "after"),
    [
        (Credit.new(300), -120, Credit.new(180)),
        (Credit.new(300), 120, Credit.new(420)),
        (Credit(300, 100, 150, 50), -120, Credit(200, 0, 150, 50)),
        (Credit(300, 0, 250, 50), -120, Credit(300, 0, 250, 50)),
    ],
)
def test_an_adjustment_takes_only_credit_that_no_call_holds(seconds: Credit, wanted: int, after: Credit) -> None:
    assert life.adjust(a_booking(seconds=seconds), wanted, 0, START, POLICY).seconds == after
    calls = Credit(seconds.granted, seconds.remaining, seconds.leased, seconds.settled)
    assert life.adjust(a_booking(calls=calls), 0, wanted, START, POLICY).calls == after


def test_an_adjustment_to_nothing_expires_the_booking_and_one_above_it_revives_it() -> None:
    spent = life.adjust(a_booking(), -300, 0, START, POLICY)
    assert (spent.exhausted_at, status_at(spent, START, POLICY)) == (START, BookingStatus.EXPIRED)
    more_calls = life.adjust(spent, 0, 5, EpochMs(START + 1), POLICY)
    assert status_at(more_calls, EpochMs(START + 1), POLICY) is BookingStatus.EXPIRED
    revived = life.adjust(more_calls, 1, 0, EpochMs(START + 2), POLICY)
    assert status_at(revived, EpochMs(START + 2), POLICY) is BookingStatus.ACTIVE


def test_an_adjustment_does_not_expire_a_booking_while_a_call_holds_its_last_seconds() -> None:
    talked = a_booking(seconds=Credit(300, 100, 200, 0))
    assert life.adjust(talked, -300, 0, START, POLICY).exhausted_at is None


def test_an_adjustment_does_not_lengthen_a_booking() -> None:
    ended = life.adjust(a_booking(), 60, 1, END, POLICY)
    assert (ended.end_at, status_at(ended, END, POLICY)) == (END, BookingStatus.EXPIRED)
