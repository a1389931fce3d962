"""Telephone numbers: E.164 in, E.164 out, and which of them may be called."""

import re
from enum import StrEnum

import phonenumbers
from phonenumbers import PhoneNumberType

from engine.domain.errors import InvalidDestination

# `[0-9]` and fullmatch: `\d` takes Arabic digits and `$` a trailing newline.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SENT = re.compile(r"[+0-9]{1,32}")
_DIALLED = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")

ALLOWED_TYPES = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
        PhoneNumberType.UAN,
    }
)
# Satellite and international networks: dear to call, and the metadata takes some of them for VOIP.
DENIED_PREFIXES = ("+870", "+878", "+881", "+882", "+883", "+888", "+979")


# The caller whose number was withheld or never sent. All of them are one caller.
ANONYMOUS = "anonymous"
# Stands where a number was that is no longer known here: its person had it erased, or its time was over.
ERASED = "erased"


class NumberState(StrEnum):
    """FREE ← QUARANTINED ← BOOKED ← FREE; as stored."""

    FREE = "FREE"
    BOOKED = "BOOKED"
    QUARANTINED = "QUARANTINED"


def is_e164(text: str) -> bool:
    return _E164.fullmatch(text) is not None


def from_dialled(dialled: str) -> str | None:
    """The E.164 form of what a carrier or a phone sent (`+32…`, `0032…` or `32…`), or None."""
    match = _DIALLED.fullmatch(dialled)
    return f"+{match[1]}" if match else None


def is_caller(text: str) -> bool:
    """Whether a caller may be named so: what the dialplan lets through of a number, or ANONYMOUS."""
    return text == ANONYMOUS or _SENT.fullmatch(text) is not None


def caller_of(sent: str) -> str:
    """The caller as calls, records and limits know it: E.164 where it is that, else as sent."""
    return from_dialled(sent) or sent or ANONYMOUS


def callable_destination(text: str) -> str:
    """Check that `text` is a number that a booking may hide; returns it. Raises InvalidDestination.

    The refusal never repeats the number: its text may end up in a log.
    """
    if not is_e164(text):
        raise InvalidDestination("destination must be an E.164 number, such as +3225551234")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise InvalidDestination("destination has no known country code") from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidDestination("destination is not a number that exists in its country's numbering plan")
    if text.startswith(DENIED_PREFIXES) or phonenumbers.number_type(number) not in ALLOWED_TYPES:
        raise InvalidDestination("destination is of a type that may not be called")
    return text
