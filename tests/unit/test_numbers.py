"""Telephone numbers: what is taken for one, what may be hidden, and what a refusal gives away."""

import traceback

import pytest

from engine.domain.errors import InvalidDestination
from engine.domain.numbers import callable_destination, from_dialled, is_e164

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
def test_a_number_is_the_same_however_it_was_dialled(dialled: str) -> None:
    assert from_dialled(dialled) == "+32470123456"


@pytest.mark.parametrize("dialled", [text for text in MALFORMED if text != "32470123456"])
def test_what_is_no_number_with_a_plus_is_none_when_dialled(dialled: str) -> None:
    assert from_dialled(dialled) is None


@pytest.mark.parametrize(
    "dialled", ["0470123456", "+0032470123456", "00032470123456", "00+32470123456", "s", "anonymous", "112"]
)
def test_national_emergency_and_doubly_prefixed_forms_are_not_guessed_at(dialled: str) -> None:
    assert from_dialled(dialled) is None


@pytest.mark.parametrize(
    "number",
    ["+32470123456", "+3225551234", "+442079460958", "+14155550123", "+445612345678"],
    ids=["mobile", "fixed line", "fixed line abroad", "either", "VoIP"],
)
def test_ordinary_numbers_may_be_hidden(number: str) -> None:
    assert callable_destination(number) == number


REFUSED = {
    "premium rate, Belgium": "+3290012345",
    "premium rate, United States": "+19005551234",
    "international premium rate": "+979123456789",
    "shared cost": "+491803123456",
    "toll free": "+448001234567",
    "universal toll free": "+80012345678",
    "pager": "+447640123456",
    "personal number": "+447012345678",
    "satellite, Inmarsat": "+870773111632",
    "satellite, Iridium": "+881612345678",
    "universal personal number": "+878101234567890",
    "international network 882": "+882161234567",
    "international network 883": "+883510000000000",
    "not in the numbering plan": "+3211000",
    "too long for its country": "+3247012345678",
    "no such country": "+999123456789",
}


@pytest.mark.parametrize("number", REFUSED.values(), ids=REFUSED)
def test_dear_and_impossible_destinations_are_refused(number: str) -> None:
    with pytest.raises(InvalidDestination):
        callable_destination(number)


@pytest.mark.parametrize("text", MALFORMED)
def test_a_destination_must_be_written_as_e164(text: str) -> None:
    with pytest.raises(InvalidDestination):
        callable_destination(text)


@pytest.mark.parametrize("text", [*REFUSED.values(), "+32470123456\n", "32470123456", ARABIC])
def test_a_refusal_never_contains_the_number(text: str) -> None:
    with pytest.raises(InvalidDestination) as refused:
        callable_destination(text)
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__)
    assert text.strip().lstrip("+") not in told
    assert text[-7:].strip() not in told
