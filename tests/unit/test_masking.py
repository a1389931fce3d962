"""Numbers in logs show at most their first three and last two digits; all other text stays readable."""

import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.masking import _FOUND, masked, masked_text
from engine.runtime.ids import new_id

NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
# What may directly surround a number: everything but digits, which would make it another number.
BESIDE = st.text(st.characters(exclude_categories=("Cs", "Nd")), max_size=8)


def test_a_masked_number_keeps_its_first_three_and_last_two_digits() -> None:
    assert masked("+32470123456") == "+324•••••56"
    assert masked("003247012345") == "003•••••45"
    assert masked("+3220012") == "+•••••"


@settings(deadline=None)
@given(NUMBERS)
def test_no_mask_shows_more_than_the_first_three_and_last_two_digits(number: str) -> None:
    shown = masked(number)
    first, last = re.fullmatch(r"\+([0-9]{0,3})•{5}([0-9]{0,2})", shown).groups()  # type: ignore[union-attr]
    assert number[1:].startswith(first)
    assert number.endswith(last)
    assert len(number) - 1 - len(first) - len(last) >= 5


@settings(deadline=None)
@given(BESIDE, NUMBERS, BESIDE, st.sampled_from(["+", "", "00"]))
def test_a_number_is_masked_whatever_surrounds_it(before: str, number: str, after: str, prefix: str) -> None:
    shown = masked_text(f"{before}{prefix}{number[1:]}{after}")
    longest = max((len(run) for run in re.findall("[0-9]+", shown)), default=0)
    assert longest <= 3
    assert (before.rstrip("+"), after) == (shown[: len(before.rstrip("+"))], shown[len(shown) - len(after) :])


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Nd"))), NUMBERS, NUMBERS)
def test_every_number_in_a_text_is_masked(between: str, first: str, second: str) -> None:
    shown = masked_text(f"{first}{between or ' '}{second}")
    assert not re.search("[0-9]{4}", shown)


IDS = st.one_of(
    st.from_regex(r"[a-z]{3}_[0-9a-f]{32}", fullmatch=True),
    st.from_regex(r"(rn[0-9a-f]{8}-)?[12][0-9]{9}\\.[0-9]{1,6}", fullmatch=True),
    st.from_regex(r"PJSIP/[a-z]{1,9}-[0-9a-f]{8}", fullmatch=True),
)


@settings(deadline=None)
@given(st.lists(st.one_of(IDS, NUMBERS, st.text("+0123456789abc_.-/\n", max_size=9)), max_size=4).map("".join))
def test_the_short_ways_give_what_the_whole_search_gives(text: str) -> None:
    whole = _FOUND.sub(lambda match: masked(match["number"]) if match["number"] else match[0], text)
    assert masked_text(text) == whole


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T08:13:17.123456Z",
        "127.0.0.1:48213, [2001:db8::1]:5060",
        "1763881234.15",
        "rn01234567-1763881234.15 has ended",
        "'PJSIP/trunk-00000012'",
        "PJSIP/softphone1-0000001a",
        "status 503 after 12345 ms, 4 of 999999",
        "sqlite3.py:143 _run_batch",
        "",
    ],
)
def test_text_that_is_no_number_stays_unchanged(text: str) -> None:
    assert masked_text(text) == text


@settings(deadline=None)
@given(st.sampled_from(["bkg", "cdr", "evt", "acc", "key", "grt"]), st.uuids(), st.integers(0, 2**32 - 1))
def test_ids_stay_unchanged(prefix: str, some: uuid.UUID, system: int) -> None:
    for text in (new_id(prefix), f"{prefix}_{some.hex}", str(some), f"rn{system:08x}-1763881234.7"):
        assert masked_text(f"call={text} over") == f"call={text} over"


def test_a_number_next_to_an_id_is_masked() -> None:
    booking = new_id("bkg")
    assert masked_text(f"{booking} to +32470123456") == f"{booking} to +324•••••56"
    assert masked_text("32470123456-1763881234.15") == "324•••••56-1763881234.15"
    assert masked_text("sip:0032470123456@192.0.2.1") == "sip:003•••••56@192.0.2.1"
