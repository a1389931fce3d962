"""Telephone numbers, in and out as E.164."""

import re
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
# RFC 3966 section 3: what a number without `+` is relative to, a global number or a domain name.
_PHONE_CONTEXT = re.compile(r";phone-context=([^;@]*)")
# Section 5.1.1: these are skipped.
_VISUAL_SEPARATORS = re.compile(r"[-.()]")
# The user of a URI that is a number. The host of a SIP URI without a user is none, nor is a user with a password.
_USER = re.compile(r"(?:sips?:(?=[^@]+@)|tel:)([-+0-9.()]+)(?:[@;]|$)")
# The country codes of ITU-T E.164 (list of 2016, assigned and spare): of one digit, of two, of three.
COUNTRY_CODE = re.compile(
    r"\+(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|(?:2[1-689]|3[578]|42|5[09]|6[7-9]|8[03578]|9[679])[0-9])"
)

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
    moves a number out of the pool (RETIRED) and back. A FREE number that the operator shares is SHARED: it carries
    pairs, as many as have different callers, until no pair is left and the operator takes it back.
    """

    FREE = "FREE"
    BOOKED = "BOOKED"
    QUARANTINED = "QUARANTINED"
    RETIRED = "RETIRED"
    SHARED = "SHARED"


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


def in_context(sent: str, uri: str) -> str:
    """Returns the number that a URI means, which may be relative to its parameter `phone-context`.

    RFC 3966 section 5.1.5: a number without `+` is only valid in its context, and to put the two together does not
    always make a global number. It does if the context is a country code and the number has no trunk prefix (0).
    Taken without its context, the number would be somebody else's.

    Args:
        sent: `+` and digits of the URI's number.
        uri: The URI, perhaps with a display name before `<`, and without `>`; empty if the number begins with `+` or
            the URI has no context.

    Returns:
        E.164, or `sent` if there is no context to apply; empty if the number is not known.
    """
    if not uri or sent.startswith("+"):
        return sent
    contexts = [_VISUAL_SEPARATORS.sub("", context) for context in _PHONE_CONTEXT.findall(uri.rpartition("<")[2])]
    if len(contexts) != 1 or not COUNTRY_CODE.fullmatch(contexts[0]) or sent.startswith("0"):
        return ""
    number = contexts[0] + sent
    return number if is_e164(number) else ""


def dialled(sent: str, uri: str) -> str:
    """Returns the number that was dialled.

    Args:
        sent: `+` and digits of the Request-URI's number; empty if the carrier writes the number in the header To.
        uri: As for `in_context`; if `sent` is empty, the URI of To, which then always comes.

    Returns:
        The number as `in_context` returns it; empty if the URI has no number.
    """
    if sent or not uri:
        return in_context(sent, uri)
    in_to = _USER.match(uri.rpartition("<")[2])
    number = "" if in_to is None else _VISUAL_SEPARATORS.sub("", in_to[1])
    return in_context(number, uri if "phone-context" in uri else "")
