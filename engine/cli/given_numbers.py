"""Telephone numbers on the command line: read as the API reads them, also where the id of a booking is asked for."""

from engine.cli.database import run_command
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import BookingId
from engine.domain.numbers import E164, SENT
from engine.domain.trunks import typed_plan


def number_of(settings: Settings, given: str) -> E164 | None:
    """Returns the number that somebody typed, also as the carriers' country dials it; None if it is no number."""
    return typed_plan(policy_of(settings).trunks).read(given) if SENT.fullmatch(given) else None


def booking_named(settings: Settings, given: str) -> BookingId:
    """Returns the id of a booking that is named by its id, or by the rented number that it holds now.

    An id is returned as it is: no look-up says yet whether there is such a booking.

    Raises:
        InvalidInput: Digits were given that are no number.
        NotFound: No booking holds the number.
    """
    if not SENT.fullmatch(given):
        return BookingId(given)
    number = number_of(settings, given)
    if number is None:
        raise InvalidInput([f"{given} is neither the id of a booking nor a number such as +3225551234"])
    # A unique index sees to it that there is at most one.
    booking = run_command(settings, lambda tx: tx.bookings.holding(number))
    if booking is None:
        raise NotFound(f"no booking holds {number} now: `bookings list --gone --service {number}` shows former ones")
    return booking.id
