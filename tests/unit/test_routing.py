"""The contract's table "What the caller gets", row by row, as far as the domain decides it."""

import pytest

from engine.domain.booking import Booking
from engine.domain.metering import Credit
from engine.domain.routing import (
    Bridge,
    Cause,
    Disposition,
    Facts,
    MakeRoom,
    Reject,
    RouteDecision,
    decide,
    unanswered_disposition,
)
from engine.domain.times import EpochMs
from tests.contract.samples import CALLER, DAY, POLICY, START, a_booking

END = EpochMs(START + 7 * DAY)


def decided(
    booking: Booking | None, now: EpochMs = START, *, destination_is_ours: bool = False
) -> RouteDecision | MakeRoom:
    return decide(Facts(booking, CALLER, destination_is_ours=destination_is_ours), now, POLICY)


def test_an_active_booking_is_bridged_with_a_first_lease() -> None:
    booking = a_booking()
    assert decided(booking) == Bridge(booking, seconds=10, ring_seconds=30, shown=CALLER)


@pytest.mark.parametrize(
    ("booking", "now"),
    [
        (None, START),
        (a_booking(gone_at=START), START),
        (a_booking(), END + POLICY.grace_ms),
        (a_booking(exhausted_at=START), START + POLICY.grace_ms),
    ],
    ids=["nobody's number", "deleted", "grace over, not swept", "spent, grace over"],
)
def test_a_number_without_a_booking_gets_404_and_leaves_no_trace(booking: Booking | None, now: EpochMs) -> None:
    assert decided(booking, now) == Reject(cause=Cause(1), disposition=None, notify_expired=False)


@pytest.mark.parametrize(
    ("booking", "now"),
    [
        (a_booking(), END),
        (a_booking(), END + POLICY.grace_ms - 1),
        (a_booking(exhausted_at=START), START),
        (a_booking(calls=Credit(1, 0, 1, 0)), END),
    ],
    ids=["just ended", "grace nearly over", "spent", "ended with a call up"],
)
def test_an_expired_booking_gets_410_and_a_callback(booking: Booking, now: EpochMs) -> None:
    assert decided(booking, now) == Reject(cause=Cause(22), disposition=Disposition.EXPIRED, notify_expired=True)


@pytest.mark.parametrize("seconds", [Credit.new(300), Credit(60, 0, 60, 0)], ids=["seconds left", "no second left"])
def test_when_other_calls_hold_every_slot_the_caller_gets_486_without_a_callback(seconds: Credit) -> None:
    booking = a_booking(calls=Credit(1, 0, 1, 0), seconds=seconds)
    assert decided(booking) == Reject(cause=Cause(17), disposition=Disposition.ALL_SLOTS_HELD, notify_expired=False)


@pytest.mark.parametrize(("held", "wanted"), [(300, 10), (60, 3), (1, 1)])
def test_when_other_calls_hold_every_second_they_make_room_for_a_first_lease(held: int, wanted: int) -> None:
    booking = a_booking(seconds=Credit(held, 0, held, 0))
    assert decided(booking) == MakeRoom(booking.id, wanted)


def test_a_call_starts_with_less_than_its_reserve_before_others_must_make_room() -> None:
    booking = a_booking(seconds=Credit(300, 2, 298, 0))
    assert decided(booking) == Bridge(booking, seconds=2, ring_seconds=30, shown=CALLER)


def test_a_loop_to_one_of_our_own_numbers_gets_403_without_a_callback() -> None:
    rejected = Reject(cause=Cause(21), disposition=Disposition.FORBIDDEN, notify_expired=False)
    assert decided(a_booking(), destination_is_ours=True) == rejected


def test_expiry_comes_before_a_forbidden_destination() -> None:
    assert decided(a_booking(), END, destination_is_ours=True) == decided(a_booking(), END)


def test_the_last_second_and_the_last_call_are_still_bridged() -> None:
    booking = a_booking(seconds=Credit.new(1), calls=Credit.new(1))
    assert decided(booking) == Bridge(booking, seconds=1, ring_seconds=30, shown=CALLER)


def test_a_call_in_the_last_millisecond_is_bridged_for_one_second() -> None:
    booking = a_booking()
    assert decided(booking, EpochMs(END - 1)) == Bridge(booking, seconds=1, ring_seconds=30, shown=CALLER)


@pytest.mark.parametrize(
    ("dial_status", "disposition"),
    [
        ("BUSY", Disposition.BUSY),
        ("NOANSWER", Disposition.NO_ANSWER),
        ("CANCEL", Disposition.CANCELLED),
        ("ANSWER", Disposition.CANCELLED),
        ("CHANUNAVAIL", Disposition.UNREACHABLE),
        ("CONGESTION", Disposition.UNREACHABLE),
        ("INVALIDARGS", Disposition.UNREACHABLE),
        ("", Disposition.UNREACHABLE),
        ("busy", Disposition.UNREACHABLE),
    ],
)
def test_an_unanswered_call_is_recorded_with_asterisks_dial_status(dial_status: str, disposition: Disposition) -> None:
    assert unanswered_disposition(dial_status) is disposition
