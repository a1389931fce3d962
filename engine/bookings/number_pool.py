"""The pool of rented numbers: import, book, quarantine, retire, restore; and the sandbox's simulated numbers.

Each is a plain function over a transaction, except for the parsing, which needs no database.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from engine.domain.destinations import country_of
from engine.domain.errors import InvalidInput, NoNumberFree, NumberNotFree
from engine.domain.ids import AccountId
from engine.domain.number_choice import ANY_COUNTRY, ANY_NUMBER, NO_WISH, NumberPattern, NumberRequest, patterns_of
from engine.domain.numbers import (
    E164,
    SIMULATED_DIGITS,
    SIMULATED_NUMBERS,
    SIMULATED_PREFIX,
    NumberState,
    from_dialled,
    is_e164,
    is_simulated,
)
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.numbers import Number
from engine.storage.transaction import Transaction

MAX_REPORTED = 20
# Why a number in one of these states cannot be taken out of the pool.
IN_USE: dict[str, str] = {
    NumberState.BOOKED: "booked: it can be taken out once its booking is gone",
    NumberState.SHARED: "shared: use `numbers unshare` first",
}


@dataclass(frozen=True, slots=True)
class ReadNumbers:
    """Numbers that were read from a file.

    Attributes:
        lines: The line in which each number first occurs.
        countries: Each number's country (ISO 3166), or None where the number has no single country.
        problems: Line number and message of each bad line.
    """

    lines: dict[E164, int]
    countries: dict[str, str | None]
    problems: list[tuple[int, str]]


def import_numbers(tx: Transaction, lines: Collection[tuple[int, str]], now: EpochMs) -> int:
    """Reads and adds a few numbers.

    For a long file, call `read_numbers` outside of the transaction first: other transactions wait for this one.
    """
    return add_numbers(tx, read_numbers(lines), now)


def read_numbers(lines: Iterable[tuple[int, str]]) -> ReadNumbers:
    """Parses one number a line.

    Args:
        lines: Line number and text of each line.
    """
    read = ReadNumbers({}, {}, [])
    for line, text in lines:
        number = from_dialled(text.strip())
        if number is None or not is_e164(number):
            read.problems.append((line, f"{text.strip()[:40]!r} is not an E.164 number, such as +3225550000"))
        elif is_simulated(number):
            read.problems.append((line, f"{number} begins with {SIMULATED_PREFIX}, which is reserved for sandboxes"))
        elif number in read.lines:
            read.problems.append((line, f"{number} is already in line {read.lines[number]}"))
        else:
            read.lines[number] = line
            read.countries[number] = country_of(number)
    return read


def add_numbers(tx: Transaction, read: ReadNumbers, now: EpochMs) -> int:
    """Adds numbers to the pool, all or none. After a restore they are in quarantine first.

    Returns:
        How many numbers it added.

    Raises:
        InvalidInput: Some lines are bad. It lists the first `MAX_REPORTED` of them.
    """
    problems = list(read.problems)
    for number, line in read.lines.items():
        if known := tx.numbers.by_number(number):
            retired = known.state == NumberState.RETIRED
            why = "retired: `numbers restore` brings it back" if retired else "already in the pool"
            problems.append((line, f"{number} is {why}"))
    if problems:
        raise InvalidInput(reported(problems))
    tx.numbers.insert_all(read.countries, now)
    held_until = tx.restores.numbers_held_until()
    if held_until is not None and held_until > now:
        # Since the backup they may have been in the pool, and booked.
        for number in read.lines:
            tx.numbers.set_state(number, NumberState.QUARANTINED, held_until)
    return len(read.lines)


def reported(problems: Collection[tuple[int, str]]) -> list[str]:
    """Returns a line for each of the first MAX_REPORTED problems of a file, and one for the others."""
    rest = len(problems) - MAX_REPORTED
    lines = [f"line {line}: {problem}" for line, problem in sorted(problems)[:MAX_REPORTED]]
    return lines + ([f"… and {rest} more"] if rest > 0 else [])


def quarantine(tx: Transaction, number: str, until: EpochMs) -> Number:
    """Keeps a free number out of use until `until`. It never shortens a quarantine.

    Raises:
        InvalidInput: The number is unknown, booked or retired.
    """
    found = _not_booked(tx, number)
    if found.state == NumberState.RETIRED:
        raise InvalidInput([f"{found.e164} is retired: use `numbers restore` first"])
    tx.numbers.set_state(found.e164, NumberState.QUARANTINED, EpochMs(max(until, found.quarantined_until or 0)))
    return found_number(tx, found.e164)


def retire(tx: Transaction, number: str) -> Number:
    """Takes a number out of the pool until `restore`. Until then it does not count as ours, so a booking may hide it.

    Raises:
        InvalidInput: The number is unknown or booked.
    """
    found = _not_booked(tx, number)
    tx.numbers.set_state(found.e164, NumberState.RETIRED, found.quarantined_until)
    return found_number(tx, found.e164)


def restore(tx: Transaction, number: str) -> Number:
    """Brings a retired number back. What is left of its quarantine still applies.

    Raises:
        InvalidInput: The number is unknown or not retired.
    """
    found = found_number(tx, number)
    if found.state != NumberState.RETIRED:
        raise InvalidInput([f"{found.e164} is not retired, but {found.state.lower()}"])
    state = NumberState.FREE if found.quarantined_until is None else NumberState.QUARANTINED
    tx.numbers.set_state(found.e164, state, found.quarantined_until)
    return found_number(tx, found.e164)


def free_simulated_number(tx: Transaction, wanted: NumberRequest = NO_WISH) -> E164:
    """Returns a simulated number that no booking of any sandbox holds.

    Simulated numbers need no quarantine: there are so many that a number is practically never chosen twice. They
    belong to no country.

    Raises:
        NumberNotFree: The wanted number is in use or not a simulated one.
        NoNumberFree: No simulated number matches the wanted prefix, country or area.
    """
    if wanted.service is not None:
        if is_simulated(wanted.service) and _is_unused(tx, wanted.service):
            return wanted.service
        raise NumberNotFree("this number is not free")
    has_country = wanted.area is not None or wanted.country not in {None, ANY_COUNTRY}
    if has_country or not SIMULATED_PREFIX.startswith(wanted.prefix or "+"):
        raise NoNumberFree(f"numbers of the sandbox begin with {SIMULATED_PREFIX} and belong to no country")
    while True:
        number = E164(f"{SIMULATED_PREFIX}{secrets.randbelow(SIMULATED_NUMBERS):0{SIMULATED_DIGITS}}")
        if _is_unused(tx, number):
            return number


def _is_unused(tx: Transaction, simulated: E164) -> bool:
    return tx.bookings.holding(simulated) is None and not tx.pairs.carries_pairs(simulated, None)


def _not_booked(tx: Transaction, number: str) -> Number:
    found = found_number(tx, number)
    if found.state in IN_USE:
        raise InvalidInput([f"{found.e164} is {IN_USE[found.state]}"])
    return found


def found_number(tx: Transaction, number: str) -> Number:
    """Returns a number of the pool, which no other transaction changes now. Raises InvalidInput."""
    e164 = from_dialled(number)
    found = None if e164 is None else tx.numbers.by_number(e164)
    if found is None:
        raise InvalidInput([f"there is no number {number[:40]!r} in the pool"])
    return found


def take_number(
    tx: Transaction, wanted: NumberRequest, account_id: AccountId, destination: E164, now: EpochMs, policy: Policy
) -> E164:
    """Takes a number for a new booking out of the pool.

    Args:
        tx: The transaction.
        wanted: What the customer asked for.
        account_id: The customer. A sandbox gets a simulated number.
        destination: The hidden number, whose country is preferred.
        now: The present time.
        policy: The operator's choices.

    Raises:
        NumberNotFree: The number that was asked for is not free.
        NoNumberFree: No free number fits.
    """
    if tx.sandboxes.of(account_id) is not None:
        return free_simulated_number(tx, wanted)
    patterns = patterns_of(wanted, country_of(destination), prefer_home=policy.local_numbers)
    for pattern in patterns:
        number = _book_number(tx, pattern, now)
        if number is not None:
            return number
    if wanted.service is not None:
        # One answer for a number that is booked, quarantined or unknown: a customer must not learn the difference.
        raise NumberNotFree("this number is not free")
    which = "every number" if ANY_NUMBER in patterns else "every such number"
    raise NoNumberFree(f"{which} is booked or in quarantine")


def _book_number(tx: Transaction, pattern: NumberPattern, now: EpochMs) -> E164 | None:
    """Books a number that fits, also one whose quarantine is over without a sweep since. None: no free number fits."""
    number = tx.numbers.book(pattern)
    if number is None and tx.numbers.free_quarantined(now):
        number = tx.numbers.book(pattern)
    return number
