"""Which numbers a booking may get, and to which country a number of a shared country code belongs."""

from typing import Any

import pytest

from engine.domain.destinations import COUNTRIES, calling_code_of, country_of
from engine.domain.errors import NoNumberFree
from engine.domain.number_choice import ANY_NUMBER, AREA, NO_WISH, NumberPattern, NumberRequest, patterns_of
from engine.domain.numbers import E164, PREFIX

BELGIAN = NumberPattern(country="BE")
# Examples of the phonenumbers library.
SHARED_CODES = {
    "+1": {
        "US": "+12015550123",
        "CA": "+15062345678",
        "BS": "+12423456789",
        "BM": "+14414123456",
        "DO": "+18092345678",
        "JM": "+18765230123",
        "PR": "+17872345678",
        "TT": "+18682211234",
    },
    "+7": {"RU": "+73011234567", "KZ": "+77123456789"},
    "+39": {"IT": "+390212345678", "VA": "+390669812345"},
    "+44": {"GB": "+441212345678", "GG": "+441481256789", "JE": "+441534456789", "IM": "+441624756789"},
    "+47": {"NO": "+4721234567", "SJ": "+4779123456"},
    "+61": {"AU": "+61212345678", "CX": "+61891641234", "CC": "+61891621234"},
    "+262": {"RE": "+262262161234", "YT": "+262269601234"},
    "+358": {"FI": "+358131234567", "AX": "+358181234567"},
    "+590": {"GP": "+590590201234", "BL": "+590590271234"},
}
# The numbering plans themselves do not tell these apart.
NOT_TOLD_APART = {("MF", "BL"): "+590590271234", ("EH", "MA"): "+212528812345"}


@pytest.mark.parametrize("code", SHARED_CODES)
def test_countries_that_share_a_code_are_told_apart(code: str) -> None:
    numbers = SHARED_CODES[code]
    assert {country: country_of(number) for country, number in numbers.items()} == {each: each for each in numbers}
    assert {calling_code_of(country) for country in numbers} == {code}


@pytest.mark.parametrize("countries", NOT_TOLD_APART)
def test_countries_whose_numbers_overlap_count_as_one(countries: tuple[str, str]) -> None:
    number = NOT_TOLD_APART[countries]
    assert {country_of(number)} == {countries[1]}
    assert {number.startswith(calling_code_of(each)) for each in countries} == {True}


@pytest.mark.parametrize("number", ["+883510000091", "+80012345678", "+999123456789012", "+10000000000", "+"])
def test_an_international_or_impossible_number_has_no_country(number: str) -> None:
    assert country_of(number) is None


@pytest.mark.parametrize(
    ("wanted", "home", "prefer_home", "patterns"),
    [
        (NO_WISH, "BE", True, (BELGIAN, ANY_NUMBER)),
        (NO_WISH, "BE", False, (ANY_NUMBER,)),
        (NO_WISH, None, True, (ANY_NUMBER,)),
        (NumberRequest(country="any"), "BE", True, (ANY_NUMBER,)),
        (NumberRequest(country="FR"), "BE", True, (NumberPattern(country="FR"),)),
        (NumberRequest(country="BE"), "BE", True, (BELGIAN,)),
        (NumberRequest(prefix="+33"), "BE", True, (NumberPattern(prefix="+33"),)),
        (NumberRequest(service=E164("+3225550000")), "BE", True, (NumberPattern(service=E164("+3225550000")),)),
        (NumberRequest(area="2"), "BE", True, (NumberPattern(prefix="+322", country="BE"),)),
        (NumberRequest(area="2"), "BE", False, (NumberPattern(prefix="+322", country="BE"),)),
        (NumberRequest(area="2", country="FR"), "BE", True, (NumberPattern(prefix="+332", country="FR"),)),
        (NumberRequest(area="2", country="FR"), None, True, (NumberPattern(prefix="+332", country="FR"),)),
        (NumberRequest(area="06", country="VA"), "BE", True, (NumberPattern(prefix="+3906", country="VA"),)),
        (NumberRequest(area="506", country="CA"), "US", True, (NumberPattern(prefix="+1506", country="CA"),)),
    ],
)
def test_what_is_looked_for_follows_from_the_wish_and_the_destination(
    wanted: NumberRequest, home: str | None, prefer_home: bool, patterns: Any
) -> None:
    assert patterns_of(wanted, home, prefer_home=prefer_home) == patterns


def test_an_area_of_a_destination_without_a_country_fits_no_number() -> None:
    with pytest.raises(NoNumberFree, match="an area needs a country"):
        patterns_of(NumberRequest(area="2"), None, prefer_home=True)


@pytest.mark.parametrize(
    "text", ["", "+322", "02 ", " 2", "2\n", "2-3", "\N{ARABIC-INDIC DIGIT TWO}", "²", "12345678901"]
)
def test_an_area_is_one_to_ten_ascii_digits(text: str) -> None:
    assert AREA.fullmatch(text) is None
    assert AREA.fullmatch("0")
    assert AREA.fullmatch("1234567890")


def test_every_country_with_every_area_makes_a_prefix() -> None:
    assert [each for each in COUNTRIES if not PREFIX.fullmatch(f"{calling_code_of(each)}{'9' * 10}")] == []
