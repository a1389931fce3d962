"""Gives a booking another rented number. Its credit, its end and its live calls stay; its old number is quarantined.

An account could empty the pool by swapping, as it could by booking and cancelling. So a swap counts like a booking: the
old number counts against the account until its quarantine is over, and the swap is one of the account's new bookings of
the day.
"""

from dataclasses import replace

from engine.accounts.lifecycle import check_active
from engine.bookings.endings import quarantine_number
from engine.bookings.lifecycle import owned
from engine.bookings.quota import check_quota
from engine.bookings.shared_numbers import hold_for, number_for, with_new_pins
from engine.callbacks import notifications
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId
from engine.domain.number_choice import NO_WISH, NumberRequest
from engine.domain.numbers import is_simulated
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction


def swap_number(
    tx: Transaction,
    account_id: AccountId,
    booking_id: BookingId,
    now: EpochMs,
    policy: Policy,
    wanted: NumberRequest = NO_WISH,
) -> Booking:
    """Gives a booking that is active or in its grace a new number, and quarantines the old one.

    Calls that are up go on, and their records and callbacks have the number that was dialled.

    Args:
        tx: The transaction.
        account_id: The booking's owner.
        booking_id: The booking.
        now: The present time by the account's clock.
        policy: The operator's rules.
        wanted: Which number the booking should get, as for a new booking.

    Raises:
        NotFound: The account has no such booking.
        BookingGone: The booking is gone.
        AccountSuspended: The account is suspended or closed.
        QuotaReached: The account has as many bookings and numbers in quarantine as it may have.
        TooManyNewBookings: The account has taken as many numbers within 24 hours as it may.
        NumberNotFree: The number that was asked for is not free.
        NoNumberFree: No number that matches the request is free.
    """
    # First the booking, then the account: the order in which the route of a call locks them.
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    tx.accounts.lock(account_id)
    check_active(tx, account_id)
    check_quota(tx, account_id, now, policy)
    service = number_for(tx, wanted, account_id, booking.destination, booking.participants, now, policy)
    tx.calls.note_dialled(booking)
    # A reverse call would show the new number to a caller of the old one.
    tx.calls.forget_last_callers(booking.id)
    swapped = replace(booking, service=service)
    if booking.has_pins:
        swapped = with_new_pins(tx, swapped)
    tx.bookings.swap_service(booking, swapped, now)
    # A refused call to the new number must not be counted on the record of one to the old number.
    tx.refused_calls.forget(booking.id)
    quarantine_number(tx, booking, now, policy)
    if not is_simulated(booking.service):
        tx.withdraw(Kind.SERVICE, booking.id)
    hold_for(tx, swapped, now)
    notifications.notify_number_swapped(tx, swapped, booking.service, now)
    return swapped
