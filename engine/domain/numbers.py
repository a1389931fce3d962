"""Telephone numbers, in and out as E.164."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

# ITU-T E.164: `+`, country code, subscriber number; at most 15 digits.
E164 = NewType("E164", str)

# `[0-9]` and fullmatch, because `\d` accepts Arabic digits and `$` accepts a trailing newline.
E164_PATTERN = re.compile(r"\+[1-9][0-9]{6,14}")
# A caller's number as a carrier may send it.
SENT = re.compile(r"[+0-9]{1,32}")
# The first digits of a number.
PREFIX = re.compile(r"\+[1-9][0-9]{0,13}")
_DIALLED = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")

# Sandbox numbers begin with a country code that E.164 does not assign, so no carrier can send or take a call to one.
SIMULATED_PREFIX = "+999"
SIMULATED_DIGITS = 12
SIMULATED_NUMBERS = 10**SIMULATED_DIGITS

# The source of every call whose number was withheld or not sent. All of these count as one caller.
ANONYMOUS = "anonymous"
# Replaces a number that was erased on a person's request or after its retention period.
ERASED = "erased"


class NumberState(StrEnum):
    """State of a number in the pool, as stored.

    Theory of operation: a booking takes a FREE number, which is then BOOKED. When the booking is gone, the number is
    QUARANTINED, so that late callers do not reach the next customer; the sweep then makes it FREE again. The operator
    moves a number out of the pool (RETIRED) and back.
    """

    FREE = "FREE"
    BOOKED = "BOOKED"
    QUARANTINED = "QUARANTINED"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """Which number a new booking asks for. At most one field is set; with none, any number will do.

    Attributes:
        service: This number.
        prefix: Any number that begins with this prefix.
        country: Any number of this country: two capital letters (ISO 3166).
    """

    service: E164 | None = None
    prefix: str | None = None
    country: str | None = None


ANY_NUMBER = NumberRequest()


def is_e164(text: str) -> bool:
    """Returns whether the text is written as E.164. The number need not exist."""
    return E164_PATTERN.fullmatch(text) is not None


def is_simulated(number: str) -> bool:
    """Returns whether the number belongs to a sandbox."""
    return number.startswith(SIMULATED_PREFIX)


def from_dialled(dialled: str) -> E164 | None:
    """Returns the E.164 form of what a carrier or telephone sent (`+32…`, `0032…`, `32…`), or None."""
    match = _DIALLED.fullmatch(dialled)
    return E164(f"+{match[1]}") if match else None


def is_caller(text: str) -> bool:
    """Returns whether `text` can be the source of a call: digits as the dialplan passes them on, or ANONYMOUS."""
    return text == ANONYMOUS or SENT.fullmatch(text) is not None


def caller_of(sent: str) -> str:
    """Returns the caller as calls, records and limits name it: E.164 if possible, otherwise as sent, or ANONYMOUS."""
    return from_dialled(sent) or sent or ANONYMOUS
