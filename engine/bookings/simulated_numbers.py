"""The numbers of test worlds: made up when one is booked, so that there are always enough, and never in the pool."""

import secrets

from engine.domain.errors import NoNumberFree, NumberNotFree
from engine.domain.numbers import (
    ANY_NUMBER,
    SIMULATED_DIGITS,
    SIMULATED_NUMBERS,
    SIMULATED_PREFIX,
    Wanted,
    is_simulated,
)
from engine.storage.transaction import Transaction


def free_simulated_number(tx: Transaction, wanted: Wanted = ANY_NUMBER) -> str:
    """One that no booking of any world holds. They are so many that none comes again, which is all that a quarantine
    is for. They are of no country.

    Raises NumberNotFree, NoNumberFree.
    """
    if wanted.service is not None:
        if is_simulated(wanted.service) and tx.bookings.holding(wanted.service) is None:
            return wanted.service
        raise NumberNotFree("this number is not free")
    if wanted.country is not None or not SIMULATED_PREFIX.startswith(wanted.prefix or "+"):
        raise NoNumberFree(f"numbers of test worlds begin with {SIMULATED_PREFIX} and are of no country")
    while True:
        number = f"{SIMULATED_PREFIX}{secrets.randbelow(SIMULATED_NUMBERS):0{SIMULATED_DIGITS}}"
        if tx.bookings.holding(number) is None:
            return number
