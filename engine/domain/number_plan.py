"""How a carrier writes numbers: read from it as E.164, and written to it.

Theory of operation: digits without `+` can mean several numbers. `3225550000` is a number of Brussels in E.164 without
its `+`, and could be dialled within some other country. So a reading is a list of candidates, in the order that the
carrier's number format asks for, and the first one that exists is meant. Which numbers exist, which digits a country
dials before a national or an international number, and whether these belong to the number (the zero of Italy does, that
of Belgium does not), is what the phonenumbers library knows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from engine.domain.numbers import ANONYMOUS, COUNTRY_CODE, E164, SENT, from_dialled, is_e164

# The library takes about 30 µs for a number.
CACHED_NUMBERS = 10_000

# What looks like a trunk prefix that stayed behind the country code: 0 in most countries; 1 in those of +1, on the
# Marshall Islands, and in Mexico until 2019; 8 in Russia, Kazakhstan, Lithuania (until 2025), Belarus and Turkmenistan.
_TRUNK_PREFIX = re.compile(COUNTRY_CODE.pattern + r"0|\+(?:11|6921|521|(?:7|370|375|993)8)")
_ZEROS_BEHIND_CODE = re.compile(f"({COUNTRY_CODE.pattern})00+")
_MEXICAN_MOBILE = re.compile(r"\+521([0-9]{10})")
_ONE_ZERO = re.compile("0[1-9]")
_MANY_ZEROS = re.compile("00+")
# The library writes national numbers with spaces, brackets, and a ~ where one waits for a tone.
_NO_DIGIT = re.compile(r"[^+0-9]")


class NumberFormat(StrEnum):
    """How a carrier writes numbers: `32475…`, `+32475…`, `0032475…`, or as they are dialled within its country."""

    E164 = "e164"
    PLUS = "plus"
    ZEROS = "00"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """How one carrier writes numbers.

    Attributes:
        number_format: How numbers are written to it; it also decides which reading of ambiguous digits comes first.
        country: The country (ISO 3166) in which national numbers are valid; None if there are none.
    """

    number_format: NumberFormat = NumberFormat.PLUS
    country: str | None = None

    def read(self, sent: str) -> E164 | None:
        """Returns the number that `+` and digits mean, or None if they are no number.

        - With `+` or `00` before it, a number is international. Where a country dials something else than `00`, and
          the carrier's format is `national`, the country's own habit comes first.
        - Without them it is E.164 first if the format is `e164`, else national first: a carrier that marks
          international numbers with `+` or `00` marks all of them.
        - A number that exists in no reading is E.164 if it has no zero before it, else what the first reading makes of
          it if the length is right: the library may not know a new range yet.
        """
        if self.country is None or sent.startswith("+"):
            number = from_dialled(sent)
            return _without_trunk_prefix(number) if number and _TRUNK_PREFIX.match(number) else number
        return _read(sent, self.number_format, self.country)

    def write(self, number: E164) -> str:
        """Returns the number as the carrier expects it."""
        match self.number_format:
            case NumberFormat.PLUS:
                return number
            case NumberFormat.E164:
                return number.removeprefix("+")
            case NumberFormat.ZEROS:
                return "00" + number.removeprefix("+")
            case NumberFormat.NATIONAL:
                return number if self.country is None else _as_dialled(number, self.country)


# Of numbers that come from nowhere in particular.
INTERNATIONAL = NumberPlan()


def caller_of(sent: str, plan: NumberPlan = INTERNATIONAL) -> str:
    """Returns the caller as calls, records, blocks and limits name it: E.164 if possible, else as sent, or ANONYMOUS.

    Junk before and within a number makes no other caller of a blocked one: `++32…`, `32+475…`, `00032…` and
    `+320475…` are read as the number that their digits are. Some networks send digits that are no number for a caller
    who withholds it, such as `0000000000` or `+`. They count as ANONYMOUS: no number consists of zeros, and one that
    begins with `+` is E.164.
    """
    number = plan.read(sent) or _mended(sent, plan)
    if number is None and ("+" in sent or not sent.strip("0")):
        return ANONYMOUS
    return number or sent


def tel_link(number: E164) -> str:
    """Returns the URI (RFC 3966) that a telephone dials."""
    return f"tel:{number}"


@lru_cache(CACHED_NUMBERS)
def national_spelling(number: E164) -> str:
    """Returns the number as people of its country write it, such as `02 555 00 00`; as it is if it has no country."""
    parsed = _parsed(number, None)
    return number if parsed is None else phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)


def is_caller(text: str) -> bool:
    """Returns whether `text` can be the source of a call: digits as the dialplan passes them on, or ANONYMOUS."""
    return text == ANONYMOUS or SENT.fullmatch(text) is not None


def _mended(sent: str, plan: NumberPlan) -> E164 | None:
    """Returns the number that is meant by digits with a `+` in the wrong place, or with too many zeros before them."""
    digits = sent.replace("+", "")
    if _ONE_ZERO.match(digits) and (number := _behind_a_zero(digits, plan.country)):
        return number
    if _MANY_ZEROS.match(digits):
        digits = "+" + digits.lstrip("0")
    elif sent.startswith("+") and not digits.startswith("0"):
        digits = "+" + digits
    return plan.read(digits) if digits != sent else None


def _behind_a_zero(digits: str, country: str | None) -> E164 | None:
    """Returns +32475… for 032475…, if the carrier's country is Belgium: elsewhere this may be somebody's number."""
    parsed = None if country is None else _parsed("+" + digits[1:], None)
    if parsed is None or country is None or parsed.country_code != phonenumbers.country_code_for_region(country):
        return None
    return _e164(parsed) if phonenumbers.is_valid_number(parsed) else None


@lru_cache(CACHED_NUMBERS)
def _read(sent: str, number_format: NumberFormat, country: str) -> E164 | None:
    candidates = list(_candidates(sent, number_format, country))
    for parsed in candidates:
        if phonenumbers.is_valid_number(parsed):
            return _e164(parsed)
    if candidates and _ONE_ZERO.match(sent) and _may_be_new(candidates[0], country):
        number = _e164(candidates[0])
        return number if is_e164(number) else None
    return from_dialled(sent)


def _may_be_new(parsed: PhoneNumber, country: str) -> bool:
    """Returns whether an unknown number has the right length, and none of the zeros that its country does not have."""
    return phonenumbers.is_possible_number(parsed) and (not parsed.italian_leading_zero or _zeros_belong(country))


@lru_cache(None)
def _zeros_belong(country: str) -> bool:
    """Returns whether numbers of the country begin with a zero, as those of Italy and of the Ivory Coast do."""
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    examples = [phonenumbers.example_number_for_type(country, kind) for kind in kinds]
    return any(example is not None and example.italian_leading_zero for example in examples)


def _candidates(sent: str, number_format: NumberFormat, country: str) -> Iterator[PhoneNumber]:
    """Yields the readings of digits without `+`, the likelier one first."""
    international = from_dialled(sent)
    readings = [(international, None), (sent, country)]
    marked = sent.startswith("00")
    national_first = number_format is NumberFormat.NATIONAL if marked else number_format is not NumberFormat.E164
    for text, region in reversed(readings) if national_first else readings:
        parsed = _parsed(text, region) if text else None
        if parsed is not None:
            yield parsed


@lru_cache(CACHED_NUMBERS)
def _without_trunk_prefix(number: E164) -> E164:
    """Returns +32475… for +320475…, +1415… for +11415…, and a number whose first digit belongs to it as it is.

    Mexico had a 1 before mobile numbers in calls from abroad, which the library no longer knows as a prefix (IFT,
    Fundamental Technical Numbering Plan of 2018, in force since 2019-08-03).
    """
    for text in (number, _ZEROS_BEHIND_CODE.sub(r"\g<1>0", number), _MEXICAN_MOBILE.sub(r"+52\1", number)):
        parsed = _parsed(text, None)
        if parsed is not None and phonenumbers.is_valid_number(parsed):
            return _e164(parsed)
    return number


@lru_cache(CACHED_NUMBERS)
def _as_dialled(number: E164, country: str) -> str:
    """Returns the number as it is dialled within a country; with `+` if the library does not know it."""
    parsed = _parsed(number, None)
    if parsed is None:
        return number
    if parsed.country_code == phonenumbers.country_code_for_region(country):
        written = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    else:
        written = phonenumbers.format_out_of_country_calling_number(parsed, country)
    return _NO_DIGIT.sub("", written)


def _parsed(text: str, country: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, country)
    except NumberParseException:
        return None


def _e164(parsed: PhoneNumber) -> E164:
    return E164(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))
