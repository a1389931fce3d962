"""Masks telephone numbers in texts that people or logs see: `+324•••••56`."""

import re

from engine.domain.directions import Direction

SHOWN_FIRST, SHOWN_LAST = 3, 2
# Five shown digits would be most of a shorter number.
SHORTEST_SHOWN = 10
# A fixed count, so that the mask does not reveal the number's length.
HIDDEN = "•••••"

_NUMBER = r"(?P<number>\+?[0-9]{7,})"
# Texts with long strings of digits that are not telephone numbers. Each must match as a whole to stay readable.
_READABLE = (
    r"[a-z]{3}_[0-9a-f]{32}(?![0-9a-zA-Z])",  # our ids
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-zA-Z])",  # UUIDs
    r"(?:rn[0-9a-f]{8}-)?[12][0-9]{9}\.[0-9]{1,6}(?![0-9])",  # Asterisk's unique ids: epoch seconds and a count
    r"PJSIP/[a-z][a-z0-9-]*-[0-9a-f]{8}(?![0-9a-zA-Z])",  # Asterisk's channels
)
_SHORTEST = 7
_DIGITS = re.compile(rf"[0-9]{{{_SHORTEST}}}")
_ID = re.compile("|".join(_READABLE))
_FOUND = re.compile(rf"(?<![0-9A-Za-z+])(?:{'|'.join(_READABLE)})|{_NUMBER}")


def masked(number: str) -> str:
    """Returns the number with at most its first three and its last two digits readable."""
    digits = number.removeprefix("+")
    sign = number[: len(number) - len(digits)]
    if len(digits) < SHORTEST_SHOWN:
        return sign + HIDDEN
    return f"{sign}{digits[:SHOWN_FIRST]}{HIDDEN}{digits[-SHOWN_LAST:]}"


def shown_caller(source: str, direction: Direction) -> str:
    """Returns the caller of a call as operators see it: a hidden number, as in reverse calls and pairs, is masked."""
    return source if direction is Direction.FORWARD else masked(source)


def masked_text(text: str) -> str:
    """Returns the text with every number masked: each run of seven digits or more that is not part of an id."""
    # Fast paths: most texts of logs are names of events and fields, and most others are one id.
    if len(text) < _SHORTEST or _DIGITS.search(text) is None or _ID.fullmatch(text):
        return text
    return _FOUND.sub(lambda match: masked(match["number"]) if match["number"] else match[0], text)
