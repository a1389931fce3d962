"""Every number that a text may contain, however it is spelled: the reverse of engine/domain/spellings.py.

A restore knows an erased number by its digest only. So it makes the digest of every candidate, and most candidates are
no numbers: two groups of digits that stand beside each other are taken for one number, and for two.
"""

import re
from collections.abc import Collection, Iterable, Iterator

import phonenumbers

from engine.domain.digit_folding import fold
from engine.domain.numbers import E164

_GROUP = re.compile(r"[0-9]+")
# A gap that spellings.py allows within a number.
_GAP = 40
# What is full of digits and is no number: our ids, instants, UUIDs.
_NOISE = re.compile(
    r"[a-z]{3}_[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
)
# With a prefix for calls abroad, a country code, and a trunk prefix of two digits.
_MOST_DIGITS = 3 + 15 + 2
_LEAST_NATIONAL, _LEAST, _MOST = 7, 7, 15
_PREFIXES = ("00", "011", "")
_TRUNKS = ("0", "1", "8", "06", "01", "")


def country_codes_of(numbers: Iterable[str]) -> set[str]:
    """Returns the country codes with which E.164 numbers begin. Four characters of each number are enough."""
    lengths = {number: (number[1 : 1 + length] for length in (1, 2, 3)) for number in numbers}
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    return {code for codes in lengths.values() for code in codes if code.isdigit() and int(code) in known}


def candidates(text: str, country_codes: Collection[str]) -> Iterator[E164]:
    """Yields every number that the text may contain. The same may come again.

    Args:
        text: Any text.
        country_codes: The country codes of numbers in national form.
    """
    folded = _NOISE.sub("x", fold(text).text)
    groups = list(_GROUP.finditer(folded))
    for index, first in enumerate(groups):
        digits, end = "", first.start()
        for group in groups[index:]:
            gap = folded[end : group.start()]
            if len(gap) > _GAP or any(map(str.isalpha, gap)) or len(digits) + len(group[0]) > _MOST_DIGITS:
                break
            digits, end = digits + group[0], group.end()
            yield from _readings(digits, country_codes)


def _readings(digits: str, country_codes: Collection[str]) -> Iterator[E164]:
    """Yields the numbers that digits may mean: with a country code, with a trunk prefix behind it, or without one."""
    for prefix in _PREFIXES:
        if digits.startswith(prefix):
            number = digits.removeprefix(prefix)
            yield from _proper(number)
            for code in country_codes:
                if number.startswith(code):
                    for trunk in _TRUNKS[:-1]:
                        if number.startswith(trunk, len(code)):
                            yield from _proper(code + number[len(code) + len(trunk) :])
    for trunk in _TRUNKS:
        if digits.startswith(trunk) and len(digits) - len(trunk) >= _LEAST_NATIONAL:
            for code in country_codes:
                yield from _proper(code + digits.removeprefix(trunk))


def _proper(digits: str) -> Iterator[E164]:
    if _LEAST <= len(digits) <= _MOST and digits[0] != "0":
        yield E164(f"+{digits}")
