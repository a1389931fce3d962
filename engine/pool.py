"""What an operator does with single numbers of the pool. Plain functions over a transaction."""

from engine.domain.errors import InvalidInput
from engine.domain.numbers import NumberState, from_dialled
from engine.storage.rows import Number
from engine.storage.transaction import Transaction


def quarantine(tx: Transaction, number: str, until: int) -> Number:
    """Take a number out for a time; one that rests already never rests shorter. Raises InvalidInput."""
    found = _not_booked(tx, number)
    if found.state == NumberState.RETIRED:
        raise InvalidInput([f"{found.e164} is retired: `numbers restore` brings it back first"])
    tx.numbers.set_state(found.e164, NumberState.QUARANTINED, max(until, found.quarantined_until or 0))
    return _found(tx, found.e164)


def retire(tx: Transaction, number: str) -> Number:
    """Take a number out for good: it is given to nobody any more, and may be anybody's. Raises InvalidInput."""
    found = _not_booked(tx, number)
    tx.numbers.set_state(found.e164, NumberState.RETIRED, found.quarantined_until)
    return _found(tx, found.e164)


def restore(tx: Transaction, number: str) -> Number:
    """Bring a retired number back, into what is left of its quarantine. Raises InvalidInput."""
    found = _found(tx, number)
    if found.state != NumberState.RETIRED:
        raise InvalidInput([f"{found.e164} is not retired, but {found.state.lower()}"])
    state = NumberState.FREE if found.quarantined_until is None else NumberState.QUARANTINED
    tx.numbers.set_state(found.e164, state, found.quarantined_until)
    return _found(tx, found.e164)


def _not_booked(tx: Transaction, number: str) -> Number:
    found = _found(tx, number)
    if found.state == NumberState.BOOKED:
        raise InvalidInput([f"{found.e164} is booked: it can be taken out once its booking is gone"])
    return found


def _found(tx: Transaction, number: str) -> Number:
    found = tx.numbers.by_number(from_dialled(number) or "")
    if found is None:
        raise InvalidInput([f"there is no number {number[:40]!r} in the pool"])
    return found
