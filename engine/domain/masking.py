"""How a telephone number may appear where people read along: `+324•••••56`."""

import re

SHOWN_FIRST, SHOWN_LAST = 3, 2
# Of shorter ones these would be most of it.
SHORTEST_SHOWN = 10
# Always as many, so that they do not tell its length.
HIDDEN = "•••••"

_NUMBER = r"(?P<number>\+?[0-9]{7,})"
# What has long strings of digits in it and is no number. Each is read whole, or not at all.
_READABLE = (
    r"[a-z]{3}_[0-9a-f]{32}(?![0-9a-zA-Z])",  # ids of ours
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-zA-Z])",  # UUIDs
    r"(?:rn[0-9a-f]{8}-)?[12][0-9]{9}\.[0-9]{1,6}(?![0-9])",  # Asterisk's unique ids: epoch seconds and a count
    r"PJSIP/[a-z][a-z0-9]*-[0-9a-f]{8}(?![0-9a-zA-Z])",  # its channels
)
_DIGITS = re.compile(r"[0-9]{7}")
_FOUND = re.compile(rf"(?<![0-9A-Za-z+])(?:{'|'.join(_READABLE)})|{_NUMBER}")


def masked(number: str) -> str:
    """Of its digits at most the first three and the last two."""
    digits = number.removeprefix("+")
    sign = number[: len(number) - len(digits)]
    if len(digits) < SHORTEST_SHOWN:
        return sign + HIDDEN
    return f"{sign}{digits[:SHOWN_FIRST]}{HIDDEN}{digits[-SHOWN_LAST:]}"


def masked_text(text: str) -> str:
    """The text with every number in it masked: seven digits or more in a row that are not part of an id."""
    if _DIGITS.search(text) is None:
        return text  # most of what is logged: names of events and fields
    return _FOUND.sub(lambda match: masked(match["number"]) if match["number"] else match[0], text)
