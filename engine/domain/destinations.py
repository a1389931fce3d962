"""Decides which numbers a booking may hide.

The operator pays for the calls to them. So numbers that are expensive to call, or that pay their owners for being
called, are refused unless the operator allows them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

from engine.domain.errors import DestinationNotAllowed, InvalidDestination
from engine.domain.numbers import E164, is_e164

# The library takes about 30 µs for a number.
CACHED_NUMBERS = 10_000


class NumberType(StrEnum):
    """Types of numbers as the phonenumbers library knows them. It has no type for satellites: see PREMIUM_PREFIXES."""

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


TYPES = {getattr(PhoneNumberType, name): each for name, each in NumberType.__members__.items()}

COUNTRIES: Collection[str] = phonenumbers.SUPPORTED_REGIONS

# Not toll-free numbers, which cannot be called from abroad, nor other national services, for which callers pay extra.
DEFAULT_TYPES = frozenset({NumberType.FIXED_LINE, NumberType.MOBILE, NumberType.FIXED_LINE_OR_MOBILE, NumberType.VOIP})
# Shared cost, satellites, international networks, premium rate. The library reports some of them as VoIP.
PREMIUM_PREFIXES = ("+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979")


class DestinationRule(StrEnum):
    """The rules for a destination, in the order in which they are checked."""

    PREFIX = "prefix"
    COUNTRY = "country"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class AllowedDestinations:
    """The operator's choice of destinations.

    Attributes:
        countries: Two capital letters each (ISO 3166); None allows all countries.
        types: The allowed types of numbers.
        denied_prefixes: Beginnings of E.164 numbers that are refused, whatever their country and type.
    """

    countries: frozenset[str] | None = None
    types: frozenset[NumberType] = DEFAULT_TYPES
    denied_prefixes: tuple[str, ...] = PREMIUM_PREFIXES

    def broken_rule(self, number: str) -> DestinationRule | None:
        """Returns the first rule that an E.164 number breaks, or None.

        A number that does not exist has no country and no type, so it breaks a rule.
        """
        if number.startswith(self.denied_prefixes):
            return DestinationRule.PREFIX
        kind = _kind_of(number)
        if self.countries is not None and kind.country not in self.countries:
            return DestinationRule.COUNTRY
        return None if kind.number_type in self.types else DestinationRule.TYPE


DEFAULT_DESTINATIONS = AllowedDestinations()


def country_of(number: str) -> str | None:
    """Returns the ISO 3166 country of an E.164 number; None if it is unknown or the number is international."""
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return country if country in COUNTRIES else None


def calling_code_of(country: str) -> str:
    """Returns the country code of a country's numbers (ITU-T E.164), with `+`. Several countries may share it."""
    return f"+{phonenumbers.country_code_for_region(country)}"


def allowed_destination(text: E164, allowed: AllowedDestinations) -> E164:
    """Checks that a booking may hide a number, and returns it.

    The refusal never repeats the number, because its text may appear in a log.

    Raises:
        InvalidDestination: The number does not exist.
        DestinationNotAllowed: The operator does not allow it.
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
    """Country and type of a number; both are None if no numbering plan has it."""

    country: str | None
    number_type: NumberType | None


@lru_cache(CACHED_NUMBERS)
def _kind_of(number: str) -> _Kind:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return _Kind(None, None)
    return _Kind(phonenumbers.region_code_for_number(parsed), TYPES.get(phonenumbers.number_type(parsed)))
