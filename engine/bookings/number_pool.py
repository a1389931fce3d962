"""What an operator does with the pool: adds numbers, and takes single ones out. Plain functions over a transaction."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from engine.domain.destinations import country_of
from engine.domain.errors import InvalidInput, NoNumberFree, NumberNotFree
from engine.domain.numbers import (
    ANY_NUMBER,
    E164,
    SIMULATED_DIGITS,
    SIMULATED_NUMBERS,
    SIMULATED_PREFIX,
    NumberRequest,
    NumberState,
    from_dialled,
    is_e164,
    is_simulated,
)
from engine.domain.times import DAY_MS, EpochMs
from engine.storage.numbers import Number
from engine.storage.transaction import Transaction

MAX_REPORTED = 20


@dataclass(frozen=True, slots=True)
class ReadNumbers:
    """Numbers to add: in which line each stands first, and of which country it is. `problems`: of which line, and
    what."""

    lines: dict[str, int]
    countries: dict[str, str | None]
    problems: list[tuple[int, str]]


def import_numbers(tx: Transaction, lines: Iterable[tuple[int, str]], now: EpochMs) -> int:
    """`read_numbers` and `add_numbers` in one. For few of them: a transaction should not wait for the reading."""
    return add_numbers(tx, read_numbers(lines), now)


def read_numbers(lines: Iterable[tuple[int, str]]) -> ReadNumbers:
    """`lines`: (line number, text), one number each."""
    read = ReadNumbers({}, {}, [])
    for line, text in lines:
        number = from_dialled(text.strip())
        if number is None or not is_e164(number):
            read.problems.append((line, f"{text.strip()[:40]!r} is not an E.164 number, such as +3225550000"))
        elif is_simulated(number):
            read.problems.append((line, f"{number} begins as the numbers of test worlds do, no carrier has it"))
        elif number in read.lines:
            read.problems.append((line, f"{number} stands in line {read.lines[number]} already"))
        else:
            read.lines[number] = line
            read.countries[number] = country_of(number)
    return read


def add_numbers(tx: Transaction, read: ReadNumbers, now: EpochMs) -> int:
    """Add numbers to the pool, all or nothing. How many were added.

    Raises InvalidInput with a line for each bad one (the first MAX_REPORTED of them).
    """
    problems = list(read.problems)
    for number, line in read.lines.items():
        if known := tx.numbers.by_number(E164(number)):
            retired = known.state == NumberState.RETIRED
            why = "retired: `numbers restore` brings it back" if retired else "in the pool already"
            problems.append((line, f"{number} is {why}"))
    if problems:
        rest = len(problems) - MAX_REPORTED
        named = [f"line {line}: {problem}" for line, problem in sorted(problems)[:MAX_REPORTED]]
        raise InvalidInput(named + ([f"… and {rest} more"] if rest > 0 else []))
    tx.numbers.insert_all(read.countries, now)
    return len(read.lines)


def quarantine(tx: Transaction, number: str, until: EpochMs) -> Number:
    """Take a number out for a time; one that rests already never rests shorter. Raises InvalidInput."""
    found = _not_booked(tx, number)
    if found.state == NumberState.RETIRED:
        raise InvalidInput([f"{found.e164} is retired: `numbers restore` brings it back first"])
    tx.numbers.set_state(found.e164, NumberState.QUARANTINED, EpochMs(max(until, found.quarantined_until or 0)))
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
    found = tx.numbers.by_number(E164(from_dialled(number) or ""))
    if found is None:
        raise InvalidInput([f"there is no number {number[:40]!r} in the pool"])
    return found


# The present pace is that of so many days.
PACE_DAYS = 7


PACE_MS = PACE_DAYS * DAY_MS


def days_left(free: int, net_taken: int) -> int | None:
    """Whole days until none is free; None: there do not become fewer. `net_taken`: how many more numbers were taken
    than came back, within PACE_DAYS."""
    return free * PACE_DAYS // net_taken if net_taken > 0 else None


def free_simulated_number(tx: Transaction, wanted: NumberRequest = ANY_NUMBER) -> str:
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
        if tx.bookings.holding(E164(number)) is None:
            return number
