"""The numbers of test worlds: made up when one is booked, so that there are always enough, and never in the pool."""

import secrets

from engine.domain.numbers import SIMULATED_DIGITS, SIMULATED_PREFIX
from engine.storage.transaction import Transaction


def free_simulated_number(tx: Transaction) -> str:
    """One that no booking of any world holds. They are so many that none comes again, which is all that a quarantine
    is for."""
    while True:
        number = f"{SIMULATED_PREFIX}{secrets.randbelow(10**SIMULATED_DIGITS):0{SIMULATED_DIGITS}}"
        if tx.bookings.holding(number) is None:
            return number
