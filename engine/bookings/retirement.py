"""Takes many numbers out of the pool: those of a list, or all with a prefix or of a country."""

import re
from dataclasses import dataclass

from engine.bookings.number_pool import IN_USE, ReadNumbers, reported
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164, NumberState
from engine.storage.transaction import Transaction

# Numbers that one transaction retires, in some 50 ms, so that no call waits long for the database.
BATCH = 5_000
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Retirement:
    """What became of the chosen numbers, or would become of them.

    Attributes:
        retired: Numbers that were free or in quarantine.
        already_retired: Numbers that had been retired before.
        booked: Numbers that stay, because bookings hold them.
    """

    retired: int
    already_retired: int
    booked: int


def retire_listed(tx: Transaction, read: ReadNumbers, *, dry_run: bool = False) -> Retirement:
    """Retires all numbers of a list, or none.

    Args:
        tx: The transaction.
        read: The numbers.
        dry_run: Count only.

    Raises:
        InvalidInput: Some lines are bad, or name a number that is unknown or booked.
    """
    problems, already = list(read.problems), 0
    chosen = []
    for number, line in read.lines.items():
        known = tx.numbers.by_number(number)
        if known is None:
            problems.append((line, f"{number} is not in the pool"))
        elif known.state in IN_USE:
            problems.append((line, f"{number} is {IN_USE[known.state]}"))
        elif known.state == NumberState.RETIRED:
            already += 1
        else:
            chosen.append(known)
    if problems:
        raise InvalidInput(reported(problems))
    for each in chosen if not dry_run else ():
        tx.numbers.set_state(each.e164, NumberState.RETIRED, each.quarantined_until)
    return Retirement(len(chosen), already, 0)


def count_matching(tx: Transaction, prefix: str | None, country: str | None) -> Retirement:
    """Returns what `retire_next` would do to all numbers with a prefix and of a country.

    Args:
        tx: The transaction.
        prefix: Their first digits, E.164; None: any.
        country: Their country (ISO 3166); None: any.

    Raises:
        InvalidInput: The prefix is not the beginning of a number.
    """
    if prefix is not None and not _PREFIX.fullmatch(prefix):
        raise InvalidInput([f"{prefix[:40]!r} is not the beginning of an E.164 number, such as +3225"])
    counts = tx.numbers.count_matching(prefix, country)
    retired = counts.get(NumberState.FREE, 0) + counts.get(NumberState.QUARANTINED, 0)
    in_use = sum(counts.get(state, 0) for state in IN_USE)
    return Retirement(retired, counts.get(NumberState.RETIRED, 0), in_use)


def retire_next(tx: Transaction, prefix: str | None, country: str | None, after: str) -> list[E164]:
    """Retires up to BATCH numbers with a prefix and of a country, but for booked ones.

    Returns:
        The next ones after `after`, in their order; none if no more are left.
    """
    return tx.numbers.retire_matching(prefix, country, after, BATCH)
