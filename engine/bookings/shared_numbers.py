"""Rented numbers that pairs share: how the operator shares one and takes it back, and which one a pair gets.

Each is a plain function over a transaction. A shared number carries as many pairs as have different callers.
"""

from dataclasses import replace

from engine.bookings.number_pool import found_number, free_simulated_number, take_number
from engine.domain.booking import Booking
from engine.domain.destinations import country_of
from engine.domain.errors import InvalidInput, NoNumberFree, NumberNotFree
from engine.domain.ids import AccountId
from engine.domain.number_choice import NumberPattern, NumberRequest, patterns_of
from engine.domain.numbers import E164, NumberState, is_simulated
from engine.domain.pairs import PIN_DIGITS, Participants
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.runtime.ids import new_pin
from engine.storage.numbers import Number
from engine.storage.transaction import Transaction


def share(tx: Transaction, number: str) -> Number:
    """Makes a free number a shared one, which pairs get from now on and no other booking.

    Raises:
        InvalidInput: The number is unknown or not free.
    """
    found = found_number(tx, number)
    if found.state != NumberState.FREE:
        raise InvalidInput([f"{found.e164} is not free, but {found.state.lower()}"])
    tx.numbers.set_state(found.e164, NumberState.SHARED, None)
    return found_number(tx, found.e164)


def unshare(tx: Transaction, number: str, now: EpochMs) -> Number:
    """Takes a number back that no pair holds any more. It is in quarantine for as long as one of its last callers is.

    Raises:
        InvalidInput: The number is unknown or not shared, or pairs hold it.
    """
    found = found_number(tx, number)
    if found.state != NumberState.SHARED:
        raise InvalidInput([f"{found.e164} is not shared, but {found.state.lower()}"])
    if callers := tx.pairs.count_callers(found.e164):
        raise InvalidInput([f"{found.e164} has pairs of {callers} callers: it can be taken back once they are gone"])
    ends = (tx.pairs.take_back(found.e164), tx.pins.take_back(found.e164), found.quarantined_until)
    until = EpochMs(max(end or 0 for end in ends))
    state = NumberState.QUARANTINED if until > now else NumberState.FREE
    tx.numbers.set_state(found.e164, state, until if until > now else None)
    return found_number(tx, found.e164)


def number_for(
    tx: Transaction,
    wanted: NumberRequest,
    account_id: AccountId,
    destination: E164,
    pair: Participants | None,
    now: EpochMs,
    policy: Policy,
) -> E164:
    """Returns a number for a booking, or for a pair.

    Raises:
        NumberNotFree: The number that was asked for is not free.
        NoNumberFree: No free number fits.
    """
    if pair is None:
        return take_number(tx, wanted, account_id, destination, now, policy)
    return _take_shared_number(tx, wanted, account_id, pair, now, policy)


def _take_shared_number(
    tx: Transaction, wanted: NumberRequest, account_id: AccountId, pair: Participants, now: EpochMs, policy: Policy
) -> E164:
    """Returns a shared number that neither participant calls for another pair.

    Args:
        tx: The transaction.
        wanted: What the customer asked for.
        account_id: The customer. A sandbox gets a simulated number.
        pair: The participants. The country of the first is preferred.
        now: The present time.
        policy: The operator's choices.

    Raises:
        NumberNotFree: The number that was asked for does not fit.
        NoNumberFree: No shared number fits.
    """
    if tx.sandboxes.of(account_id) is not None:
        return free_simulated_number(tx, wanted)
    for pattern in patterns_of(wanted, country_of(pair[0].number), prefer_home=policy.local_numbers):
        number = _number_that_fits(tx, pattern, pair, now)
        if number is not None:
            return number
    if wanted.service is not None:
        # One answer, whatever the reason: a customer must not learn who else has a pair.
        raise NumberNotFree("this number is not free")
    raise NoNumberFree("no shared number is free for these two participants")


def _number_that_fits(tx: Transaction, pattern: NumberPattern, pair: Participants, now: EpochMs) -> E164 | None:
    callers = [participant.number for participant in pair]
    after = ""
    while (number := tx.pairs.number_for(callers, pattern, after, now)) is not None:
        # The lock makes other transactions wait. One of them may have taken this number for one of these callers.
        locked = tx.numbers.by_number(number)
        if locked is not None and tx.pairs.number_for(callers, NumberPattern(service=number), "", now) == number:
            return number
        after = number
    return None


def hold_for(tx: Transaction, booking: Booking, now: EpochMs) -> None:
    """Lets the participants of a pair reach each other over its new number. Other bookings have none."""
    if booking.participants is None:
        return
    tx.pairs.hold(booking.service, [each.number for each in booking.participants], booking.id, now)
    if booking.has_pins:
        tx.pins.hold(booking.service, [each.pin for each in booking.participants if each.pin], booking.id)
        if is_simulated(booking.service):
            tx.pins.forget_tries_at(booking.service)  # by the clock of another sandbox, which had the number before


def with_new_pins(tx: Transaction, booking: Booking) -> Booking:
    """Returns a pair with a new PIN on its number for each participant.

    No other pair has one of these PINs on this number, and none is in quarantine there: a late caller with an old PIN
    must not reach a stranger. The number is locked, so that no other pair draws the same PIN meanwhile.
    """
    first = _draw_pin(tx, booking.service)
    while (second := _draw_pin(tx, booking.service)) == first:
        pass
    return replace(booking, destination_pin=first, partner_pin=second)


def _draw_pin(tx: Transaction, service: E164) -> str:
    while tx.pins.is_known(service, pin := new_pin(PIN_DIGITS)):
        pass
    return pin
