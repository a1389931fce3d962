"""Which text is a telephone number, and how long the free numbers will last."""

import pytest

from engine.bookings.number_pool import days_left
from engine.domain.numbers import from_dialled, is_e164

ARABIC = "+٣٢٤٧٠١٢٣٤٥٦"
MALFORMED = [
    "",
    "+",
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


@pytest.mark.parametrize("text", ["+3247012", "+32470123456", "+324701234567890"])
def test_a_plus_and_seven_to_fifteen_plain_digits_are_e164(text: str) -> None:
    assert is_e164(text)


@pytest.mark.parametrize("text", MALFORMED)
def test_other_text_is_neither_e164_nor_a_dialled_number(text: str) -> None:
    assert not is_e164(text)
    assert from_dialled(text) is None


@pytest.mark.parametrize(
    ("dialled", "number"),
    [
        *[(dialled, "+32470123456") for dialled in ("+32470123456", "0032470123456", "32470123456")],
        # National, emergency and doubly prefixed forms are not guessed at.
        *[(dialled, None) for dialled in ("0470123456", "+0032470123456", "00032470123456", "00+32470123456")],
        *[(dialled, None) for dialled in ("s", "anonymous", "112")],
    ],
)
def test_a_number_is_the_same_with_every_international_prefix(dialled: str, number: str | None) -> None:
    assert from_dialled(dialled) == number


def test_a_number_without_its_plus_is_not_e164() -> None:
    assert not is_e164("32470123456")


@pytest.mark.parametrize(
    ("free", "net_taken", "days"),
    [(100, 7, 100), (100, 14, 50), (100, 1, 700), (3, 14, 1), (1, 14, 0), (0, 5, 0), (100, 0, None), (100, -3, None)],
)
def test_free_numbers_last_at_the_rate_of_the_last_week(free: int, net_taken: int, days: int | None) -> None:
    assert days_left(free, net_taken) == days
