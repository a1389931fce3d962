"""Telephone numbers: E.164 in, E.164 out."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

# A number as E.164 writes it: `+`, country code, subscriber number; at most 15 digits.
E164 = NewType("E164", str)

# `[0-9]` and fullmatch: `\d` takes Arabic digits and `$` a trailing newline.
E164_PATTERN = re.compile(r"\+[1-9][0-9]{6,14}")
SENT = re.compile(r"[+0-9]{1,32}")
# The beginning of numbers.
PREFIX = re.compile(r"\+[1-9][0-9]{0,13}")
_DIALLED = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")

# Numbers of test worlds begin so: E.164 has no such country code, so no carrier can send or take a call to one.
SIMULATED_PREFIX = "+999"
SIMULATED_DIGITS = 12
SIMULATED_NUMBERS = 10**SIMULATED_DIGITS

# The caller whose number was withheld or never sent. All of them are one caller.
ANONYMOUS = "anonymous"
# Stands where a number was that is no longer known here: its person had it erased, or its time was over.
ERASED = "erased"


class NumberState(StrEnum):
    """FREE ← QUARANTINED ← BOOKED ← FREE; as stored. RETIRED: by the operator, no longer one that we rent out."""

    FREE = "FREE"
    BOOKED = "BOOKED"
    QUARANTINED = "QUARANTINED"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """Which number a booking may have: one of these at most, or any. `country`: two capital letters (ISO 3166)."""

    service: E164 | None = None
    prefix: str | None = None
    country: str | None = None


ANY_NUMBER = NumberRequest()


def is_e164(text: str) -> bool:
    return E164_PATTERN.fullmatch(text) is not None


def is_simulated(number: str) -> bool:
    return number.startswith(SIMULATED_PREFIX)


def from_dialled(dialled: str) -> E164 | None:
    """The E.164 form of what a carrier or a phone sent (`+32…`, `0032…` or `32…`), or None."""
    match = _DIALLED.fullmatch(dialled)
    return E164(f"+{match[1]}") if match else None


def is_caller(text: str) -> bool:
    """Whether a caller may be named so: what the dialplan lets through of a number, or ANONYMOUS."""
    return text == ANONYMOUS or SENT.fullmatch(text) is not None


def caller_of(sent: str) -> str:
    """The caller as calls, records and limits know it: E.164 where it is that, else as sent."""
    return from_dialled(sent) or sent or ANONYMOUS
