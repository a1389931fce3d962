"""Reads who calls as the carrier asserts it, from the SIP headers P-Asserted-Identity (RFC 3325, section 9.1).

Whatever is not exactly one number, in headers that could be read as a whole, is no identity: somebody may have written
it there who is not the carrier.
"""

import re
from urllib.parse import unquote

from engine.domain.number_plan import NumberPlan
from engine.domain.numbers import E164, dialled

# The dialplan passes on this many characters of a header, and one more to show that it is longer.
LONGEST_HEADER = 200
# One value of a header, with the comma after it: a URI in brackets behind an optional display name, or a URI alone.
_VALUE = re.compile(r'\s*(?:(?:"(?:[^"\\]|\\.)*"|[^"<>,]*?)\s*<([^<>"\s]*)>|([^<>",\s]+))\s*(?:,|\Z)', re.ASCII)


def asserted_number(argument: str, plan: NumberPlan) -> E164 | None:
    """Returns the number that the carrier asserts; None if there is none, or more than one.

    Args:
        argument: `count/.first/.second`: how many headers there are, and the first two, percent-encoded; empty if the
            carrier's are not read.
        plan: How the carrier writes numbers.
    """
    count, *headers = argument.split("/")
    if not count.isdecimal() or not 1 <= int(count) <= len(headers):
        return None
    numbers: set[E164 | None] = set()
    for header in headers[: int(count)]:
        text = unquote(header[1:])
        if len(text) > LONGEST_HEADER or (uris := _uris_of(text)) is None:
            return None
        # A SIP URI with a name may follow that with the number: it names the same caller.
        numbers |= {plan.read(number) for uri in uris if (number := dialled("", f"<{uri}".lower()))}
    return numbers.pop() if len(numbers) == 1 else None


def _uris_of(header: str) -> list[str] | None:
    """Returns the URIs of a header, which are a list; None if any part of it is not understood."""
    uris, at = list[str](), 0
    while at < len(header):
        value = _VALUE.match(header, at)
        if value is None:
            return None
        uris.append(value[1] or value[2] or "")
        at = value.end()
    return uris
