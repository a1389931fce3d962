"""Which text is a telephone number."""

import pytest

from engine.domain.numbers import from_dialled, is_e164

ARABIC = "+٣٢٤٧٠١٢٣٤٥٦"
MALFORMED = [
    "",
    "+",
    "32470123456",
    "+0470123456",
    "+324701",
    "+3247012345678901",
    "+32470123456\n",
    "\n+32470123456",
    "+32470123456 ",
    "+32 470 12 34 56",
    "+32470123456\0",
    "\0+32470123456",
    "+3247012345\u0660",
    ARABIC,
    "\uff0b32470123456",  # noqa: RUF100  a full-width plus sign
    "++32470123456",
    "tel:+32470123456",
    "+32470123456;ext=1",
    "+32470123456&SIP/x",
    "+3247012345${X}",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_only_a_plus_and_seven_to_fifteen_plain_digits_are_e164(text: str) -> None:
    assert not is_e164(text)


@pytest.mark.parametrize("text", ["+3247012", "+32470123456", "+324701234567890"])
def test_the_shortest_and_the_longest_numbers_are_e164(text: str) -> None:
    assert is_e164(text)


@pytest.mark.parametrize("dialled", ["+32470123456", "0032470123456", "32470123456"])
def test_a_number_is_the_same_however_it_is_dialled(dialled: str) -> None:
    assert from_dialled(dialled) == "+32470123456"


@pytest.mark.parametrize("dialled", [text for text in MALFORMED if text != "32470123456"])
def test_text_that_is_no_e164_number_is_no_dialled_number(dialled: str) -> None:
    assert from_dialled(dialled) is None


@pytest.mark.parametrize(
    "dialled", ["0470123456", "+0032470123456", "00032470123456", "00+32470123456", "s", "anonymous", "112"]
)
def test_national_emergency_and_doubly_prefixed_forms_are_not_guessed_at(dialled: str) -> None:
    assert from_dialled(dialled) is None
