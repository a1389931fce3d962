"""Which number of the pool a new booking gets: what a customer may ask for, and what to look for because of it."""

import re
from dataclasses import dataclass

from engine.domain.destinations import calling_code_of
from engine.domain.errors import NoNumberFree
from engine.domain.numbers import E164

# The first digits of a number after its country code. `[0-9]` for the reason given at E164_PATTERN. With a country code
# of three digits it is no longer than a prefix may be.
AREA = re.compile(r"[0-9]{1,10}")
# Asks for a number of whatever country, in the place of a country.
ANY_COUNTRY = "any"


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """Which number a new booking asks for. At most one field is set, or `area` together with a country.

    With no field set it is a number of the destination's country where one is free, and any other number otherwise.

    Attributes:
        service: This number.
        prefix: Any number that begins with this prefix, E.164.
        country: Any number of this country: two capital letters (ISO 3166), or ANY_COUNTRY.
        area: Any number of the country, or else of the destination's country, with these digits after its country code.
    """

    service: E164 | None = None
    prefix: str | None = None
    country: str | None = None
    area: str | None = None


NO_WISH = NumberRequest()


@dataclass(frozen=True, slots=True)
class NumberPattern:
    """Which numbers fit: those that match every field that is set.

    Attributes:
        service: The number itself.
        prefix: Its first digits, E.164.
        country: Its country (ISO 3166).
    """

    service: E164 | None = None
    prefix: str | None = None
    country: str | None = None


ANY_NUMBER = NumberPattern()


def patterns_of(wanted: NumberRequest, home: str | None, *, prefer_home: bool) -> tuple[NumberPattern, ...]:
    """Returns which numbers to look for. A later pattern counts only if no number fits an earlier one.

    Args:
        wanted: What the customer asks for.
        home: The destination's country (ISO 3166); None if it has none.
        prefer_home: Whether a customer without a wish gets a number of that country where one is free.

    Raises:
        NoNumberFree: An area was asked for without a country, and the destination has none.
    """
    if wanted.area is not None:
        country = wanted.country or home
        if country is None:
            raise NoNumberFree("the destination belongs to no country, so an area needs a country")
        return (NumberPattern(prefix=f"{calling_code_of(country)}{wanted.area}", country=country),)
    if wanted == NO_WISH and prefer_home and home is not None:
        return NumberPattern(country=home), ANY_NUMBER
    return (NumberPattern(wanted.service, wanted.prefix, None if wanted.country == ANY_COUNTRY else wanted.country),)
