"""Finds a telephone number in a text in all its spellings, and tells sure finds from similar digits.

Theory of operation: every spelling of a number ends with its national digits. So the search looks for those, with
anything but letters and digits between them, and then decides by what stands before and after them:

- with the country code before them, they are the number;
- with the trunk prefix or nothing before them, they are the number in its national form, unless that is so short, or
  looks so much like an amount or an instant, that the digits may mean something else: then they are similar;
- within a longer run of digits they are similar, unless the run is another number or an instant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

import phonenumbers

from engine.domain.digit_folding import FoldedText, fold, fold_bytes
from engine.domain.numbers import ERASED

# A match reads this many characters before and after itself.
CONTEXT = 256
# Fewer digits without a country code may mean anything.
SHORTEST_SURE, SHORTEST_SIMILAR = 9, 7
MOST_DIGITS = 15

_GAP = r"[\W_]{0,40}"
# What people do not write within a number. With a country code in front the digits are the number all the same.
_UNUSUAL = re.compile(r"[,;:|\"'{}\[\]<>=&?*#\n\r\t]|[\W_]{6}")
_PHONE_SIGNS = r"[0-9 .()/\xa0\u2010-\u2015-]"
_LED = re.compile(rf"(?:\+|(?<![0-9+])(?:00|011)(?=[ .-]?[1-9]))({_PHONE_SIGNS}{{0,24}})\Z")
_NEXT_GROUP = re.compile(r"[ .\-/\xa0\u2010-\u2015]([0-9]+)")
_FIRST_DIGITS = re.compile(r"[0-9]*")
_LAST_DIGITS = re.compile(r"[0-9]*\Z")
_FRACTION = re.compile(r"[.,][0-9]")
_ASTERISK_COUNT = re.compile(r"\.[0-9]{1,6}(?![0-9])")
_ASTERISK_PREFIX = re.compile(r"[A-Za-z0-9]-\Z")
_CURRENCY = r"(?:[€$£¥%]|(?:EUR|USD|GBP|CHF|JPY|euros?|dollars?)\b)"
_CURRENCY_BEFORE, _CURRENCY_AFTER = re.compile(rf"{_CURRENCY}\s?-?\Z"), re.compile(rf"\s?{_CURRENCY}")
# Digital clocks and calendars: ISO 8601, and Unix time in seconds, milliseconds, microseconds or nanoseconds.
_CALENDAR = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?)?"
)
_UNIX_SECONDS = re.compile(r"1[0-9]{9}")
_UNIX_FINER = re.compile(r"1[0-9]{9}(?:[0-9]{3}){1,3}")


class Likeness(Enum):
    """What found digits are."""

    OTHER = auto()
    """Another number, or an instant."""
    SIMILAR = auto()
    """Perhaps the number."""
    SURE = auto()
    """The number."""


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a text or in bytes: where it begins and ends, and whether it surely is the number."""

    start: int
    end: int
    is_sure: bool


@dataclass(frozen=True, slots=True)
class SearchedText:
    """A text after the search.

    Attributes:
        text: The text with `erased` in place of the number.
        found: Whether the number was in it.
        is_unsure: Whether similar digits remain in it.
    """

    text: str
    found: bool
    is_unsure: bool


@dataclass(frozen=True)
class Spellings:
    """The spellings of one number, E.164."""

    number: str

    @cached_property
    def country_code(self) -> str:
        """The country code; three digits if E.164 assigns none, as for simulated numbers."""
        try:
            return str(phonenumbers.parse(self.number).country_code)
        except phonenumbers.NumberParseException:
            return self.number[1:4]

    @cached_property
    def national(self) -> str:
        """The digits after the country code."""
        return self.number[1 + len(self.country_code) :]

    @cached_property
    def _core(self) -> re.Pattern[str]:
        return re.compile(_GAP.join(self.national))

    @cached_property
    def _trunk(self) -> re.Pattern[str]:
        """The trunk prefix at the end of a text. Zero is read as one everywhere."""
        region = phonenumbers.region_code_for_country_code(int(self.country_code))
        prefix = phonenumbers.ndd_prefix_for_region(region, True) or "0"
        return re.compile(rf"(?:{'|'.join({prefix, '0'})}){_GAP}\Z")

    @cached_property
    def _international(self) -> tuple[re.Pattern[str], ...]:
        """The country code at the end of a text: with `+`, with a prefix for calls abroad, and alone."""
        inner = self._trunk.pattern.removesuffix(r"\Z")
        code = rf"{_GAP.join(self.country_code)}{_GAP}(?:{inner})?\Z"
        return tuple(re.compile(before + code) for before in (rf"\+{_GAP}", rf"(?:00|011){_GAP}", ""))

    def matches(self, folded: FoldedText) -> Iterator[Match]:
        """Yields the places of the number and of similar digits, by their positions in the original text."""
        text = folded.text
        for core in self._core.finditer(text):
            likeness, start = self._judge(text, core.start(), core.end())
            if likeness is not Likeness.OTHER:
                yield Match(folded.source(start), folded.source(core.end()), likeness is Likeness.SURE)

    def matches_in_bytes(self, content: bytes) -> Iterator[Match]:
        """Yields the places in bytes."""
        return self.matches(fold_bytes(content))

    def has_digits(self, content: bytes) -> bool:
        """Returns whether bytes contain the national digits, whatever stands around them."""
        return self._core.search(fold_bytes(content).text) is not None

    def search(self, text: str) -> SearchedText:
        """Erases the number from a text."""
        matches = list(self.matches(fold(text)))
        for match in reversed(matches):
            if match.is_sure:
                text = text[: match.start] + ERASED + text[match.end :]
        found, unsure = any(each.is_sure for each in matches), any(not each.is_sure for each in matches)
        return SearchedText(text, found, unsure)

    def _judge(self, text: str, start: int, end: int) -> tuple[Likeness, int]:
        """Returns what the national digits at a place are, and where their spelling begins."""
        before, after = text[max(0, start - CONTEXT) : start], text[end : end + CONTEXT]
        for sign, pattern in zip("+0 ", self._international, strict=True):
            code = pattern.search(before)
            if code is not None:
                head = before[: code.start()]
                if sign == " " and self._is_other_number(head, self.number[1:], after):
                    return Likeness.OTHER, start
                if sign == "+" or not head[-1:].isdigit():
                    likeness = self._with_country_code(head, after, has_plus=sign == "+")
                    return likeness, start - len(code[0])
        if _is_instant(text, start, end) or self._is_other_number(before, self.national, after):
            return Likeness.OTHER, start
        trunk = self._trunk.search(before)
        if trunk is not None and not before[: trunk.start()][-1:].isdigit():
            return self._national(before[: trunk.start()], trunk[0] + text[start:end], after), start - len(trunk[0])
        return self._bare(before, text[start:end], after), start

    def _with_country_code(self, head: str, after: str, *, has_plus: bool) -> Likeness:
        run_on = _FIRST_DIGITS.match(after)
        if run_on and run_on[0]:
            is_number = has_plus and len(self.number) - 1 + len(run_on[0]) <= MOST_DIGITS
            return Likeness.OTHER if is_number else Likeness.SIMILAR
        if not has_plus and (_FRACTION.match(after) or re.search(r"[0-9]\.\Z", head)):
            is_id = _ASTERISK_PREFIX.search(head) and _ASTERISK_COUNT.match(after)
            return Likeness.OTHER if is_id else Likeness.SIMILAR
        return Likeness.SIMILAR if self._may_continue(after) else Likeness.SURE

    def _national(self, head: str, written: str, after: str) -> Likeness:
        """Judges the national digits with or without a trunk prefix, which nothing follows or precedes directly."""
        count = sum(map(str.isdigit, written))
        if count < SHORTEST_SIMILAR:
            return Likeness.OTHER
        is_similar = (
            count < SHORTEST_SURE
            or after[:1].isdigit()
            or _UNUSUAL.search(written)
            or _FRACTION.match(after)
            or re.search(r"[0-9][.,]\Z", head)
            or _is_amount(head, after)
            or self._may_continue(after)
        )
        return Likeness.SIMILAR if is_similar else Likeness.SURE

    def _bare(self, before: str, written: str, after: str) -> Likeness:
        if _UNIX_SECONDS.fullmatch(written) and _ASTERISK_COUNT.match(after):
            return Likeness.OTHER
        likeness = self._national(before, written, after)
        stands_alone = not (re.search(r"\w[ .()/-]{0,2}\Z", before) and re.search(r"[0-9][ .()/-]{0,2}\Z", before))
        is_word = re.search(r"\w\Z", before) or re.match(r"\w", after)
        if likeness is Likeness.SURE and (not stands_alone or is_word or _UNIX_SECONDS.fullmatch(written)):
            return Likeness.SIMILAR
        return likeness

    def _is_other_number(self, before: str, found: str, after: str) -> bool:
        """Returns whether found digits are a part of another number with a country code."""
        led = _LED.search(before)
        if led is None:
            return False
        run_on = _FIRST_DIGITS.match(after)
        digits = re.sub(r"[^0-9]", "", led[1]) + found + (run_on[0] if run_on else "")
        return digits != self.number[1:] and _is_possible(digits)

    def _may_continue(self, after: str) -> bool:
        """Returns whether a further group of digits would make a longer number that is possible in the country."""
        digits, position = self.number[1:], 0
        while (group := _NEXT_GROUP.match(after, position)) is not None:
            digits, position = digits + group[1], group.end()
            if _is_possible(digits):
                return True
            if len(digits) > MOST_DIGITS:
                break
        return False


def _is_possible(digits: str) -> bool:
    if not 7 <= len(digits) <= MOST_DIGITS:
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return False


def _is_amount(head: str, after: str) -> bool:
    return bool(_CURRENCY_BEFORE.search(head) or _CURRENCY_AFTER.match(after))


def _is_instant(text: str, start: int, end: int) -> bool:
    """Returns whether a place is within an ISO 8601 instant, or within a Unix time finer than seconds."""
    around = text[max(0, start - CONTEXT) : end + CONTEXT]
    offset = start - max(0, start - CONTEXT)
    for instant in _CALENDAR.finditer(around) if "-" in around else ():
        if instant.start() <= offset and offset + end - start <= instant.end():
            return True
    first, last = _LAST_DIGITS.search(around[:offset]), _FIRST_DIGITS.match(around[offset + end - start :])
    run = (first[0] if first else "") + text[start:end] + (last[0] if last else "")
    return _UNIX_FINER.fullmatch(run) is not None
