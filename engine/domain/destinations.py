"""Which numbers may be hidden behind a rented one: a call there is paid for by the operator.

What is dear to call, or pays somebody for being called, is left out unless the operator wants it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

from engine.domain.errors import DestinationNotAllowed, InvalidDestination
from engine.domain.numbers import E164, is_e164

# The library takes some 30 µs for a number that it has not met lately.
REMEMBERED = 10_000


class NumberType(StrEnum):
    """Kinds of numbers. Satellite is none of them: such numbers are known by their prefixes."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    VOIP = "voip"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"


NAMES = {getattr(PhoneNumberType, name): each for name, each in NumberType.__members__.items()}

COUNTRIES: Collection[str] = phonenumbers.SUPPORTED_REGIONS

# Toll-free numbers cannot be called from abroad, the other national services are charged by their owners.
DEFAULT_TYPES = frozenset({NumberType.FIXED_LINE, NumberType.MOBILE, NumberType.FIXED_LINE_OR_MOBILE, NumberType.VOIP})
# Shared cost, satellites, international networks, premium rate. The library takes some of them for VoIP.
PREMIUM_PREFIXES = ("+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979")


class DestinationRule(StrEnum):
    """What an allowed destination must keep to, in the order in which it is looked at."""

    PREFIX = "prefix"
    COUNTRY = "country"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class AllowedDestinations:
    """`countries`: two capital letters each (ISO 3166); None: all."""

    countries: frozenset[str] | None = None
    types: frozenset[NumberType] = DEFAULT_TYPES
    denied_prefixes: tuple[str, ...] = PREMIUM_PREFIXES

    def broken_rule(self, number: str) -> DestinationRule | None:
        """The first rule that an E.164 number breaks; one that does not exist is of no country and type."""
        if number.startswith(self.denied_prefixes):
            return DestinationRule.PREFIX
        kind = _kind_of(number)
        if self.countries is not None and kind.country not in self.countries:
            return DestinationRule.COUNTRY
        return None if kind.number_type in self.types else DestinationRule.TYPE


DEFAULT_DESTINATIONS = AllowedDestinations()


def country_of(number: str) -> str | None:
    """Of an E.164 number, as ISO 3166 has it; None: of no single country, or of none that is known."""
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return country if country in COUNTRIES else None


def allowed_destination(text: E164, allowed: AllowedDestinations) -> E164:
    """Check that `text` is a number that a booking may hide; returns it.

    Raises InvalidDestination, DestinationNotAllowed. The refusal never repeats the number: its text may end up in a
    log.
    """
    if not is_e164(text):
        raise InvalidDestination("destination must be an E.164 number, such as +3225551234")
    kind = _kind_of(text)
    if kind.number_type is None:
        raise InvalidDestination("destination is not a number that exists in its country's numbering plan")
    match allowed.broken_rule(text):
        case DestinationRule.PREFIX:
            raise DestinationNotAllowed("destination begins with a prefix that may not be called")
        case DestinationRule.COUNTRY:
            raise DestinationNotAllowed("destination is in a country that may not be called")
        case DestinationRule.TYPE:
            raise DestinationNotAllowed(f"destination is of a type that may not be called: {kind.number_type}")
    return text


@dataclass(frozen=True, slots=True)
class _Kind:
    """Both None: no numbering plan has such a number."""

    country: str | None
    number_type: NumberType | None


@lru_cache(REMEMBERED)
def _kind_of(number: str) -> _Kind:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return _Kind(None, None)
    return _Kind(phonenumbers.region_code_for_number(parsed), NAMES.get(phonenumbers.number_type(parsed)))
