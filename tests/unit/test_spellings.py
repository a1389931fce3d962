"""Spellings of a telephone number: those that are found, those that are only similar, and other numbers."""

import json
import sys
import time
import unicodedata
from urllib.parse import quote

import pytest

from engine.domain.digit_folding import fold, fold_bytes
from engine.domain.numbers import ERASED
from engine.domain.spellings import Spellings

BELGIAN, AMERICAN, ITALIAN, HUNGARIAN, NORWEGIAN = map(
    Spellings, ("+32475998877", "+12015550123", "+390612345678", "+36301234567", "+4740612345")
)
GAPS = ("", " ", "-", ".", "/", " - ", "\u200b", "\u00a0", ",", 40 * "~")
STARTS = ("+32 (0)", "(+32) ", "0032 ", "00 32 (0) ", "011 32 ", "32 ", "0")
SURE = [
    *(
        (BELGIAN, f"+32{gap}475{gap}99{gap}88{gap}77")
        for gap in ("", " ", "-", ".", "/", " - ", "\u200b", "\u00a0", ",")
    ),
    *(
        (BELGIAN, f"{start}475 99 88 77")
        for start in ("+32 (0)", "(+32) ", "0032 ", "00 32 (0) ", "011 32 ", "32 ", "0")
    ),
    *(
        (BELGIAN, written)
        for written in ("0475998877", "0475/99.88.77", "475998877", "475 99 88 77", "tel:+32-475-99-88-77")
    ),
    # Signs that nobody writes within a number do not hide it behind its country code.
    *((BELGIAN, written) for written in ("[32, 475, 99, 88, 77]", "+32|475|99|88|77", "+32\n475\n99\n88\n77")),
    # As a carrier sends it, taken for a number of the digits that it begins with.
    (BELGIAN, "+475998877"),
    *((AMERICAN, written) for written in ("(201) 555-0123", "1-201-555-0123", "2015550123", "+1.201.555.0123")),
    *((ITALIAN, written) for written in ("06 1234 5678", "+39 06 12345678", "0612345678")),
    *((HUNGARIAN, written) for written in ("06 30 123 4567", "+36 30 123 4567", "0036301234567")),
    (NORWEGIAN, "+47 40 61 23 45"),
]
SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
SCRIPTS = ("\uff10", "\u0660", "\u06f0", "\u0966", "\U0001d7ce", "\u1810", SUPERSCRIPTS[0])
IN_ANOTHER_NUMBER = ["+324759988771", "+33475998877", "+33 475 99 88 77", "0033475998877", "+44 1475 998877"]
AN_INSTANT = ["1475998877123", "1475998877123456", "2047-59-98", "rn0-32475998877.7"]
SIMILAR = [
    *((BELGIAN, written) for written in ("9932475998877", "2932475998877123", "932475998877", "2 475 99 88 77")),
    *((BELGIAN, written) for written in ("€ 475,998,877.00", "475998877.00", "475998877 EUR", "order475998877")),
    (BELGIAN, "0475|99|88|77"),
    (Spellings("+491764405571"), "1764405571"),  # or an instant in Unix time
    (Spellings("+4312345678"), "+43 1234 5678 99"),  # Austrian numbers have all lengths
    (NORWEGIAN, "40 61 23 45"),  # eight digits may mean anything
]


@pytest.mark.parametrize(("spellings", "written"), SURE)
def test_a_spelling_is_erased_within_a_text(spellings: Spellings, written: str) -> None:
    for text in (written, f"call {written} now", f"{written}; x", f'"{written}"', f"?a={written}&b=2"):
        done = spellings.search(text)
        assert (done.found, done.is_unsure) == (True, False), text
        assert not spellings.search(done.text).found
        assert ERASED in done.text


@pytest.mark.parametrize("zero", SCRIPTS)
@pytest.mark.parametrize(("spellings", "written"), SURE)
def test_a_spelling_is_erased_in_every_script_and_behind_every_escape(
    spellings: Spellings, written: str, zero: str
) -> None:
    digits = "".join(_digit(zero, int(each)) if each.isdecimal() else each for each in written)
    html = "".join(f"&#{ord(each)};" if each.isdecimal() else each for each in digits)
    nested = (json.dumps(json.dumps(digits)), quote(quote(digits)), html.replace("&", "&amp;"))
    for text in (digits, json.dumps(digits), quote(digits), html, *nested):
        assert spellings.search(text).found, text
    for encoded in (digits.encode(), json.dumps(digits).encode()):
        [match] = spellings.matches_in_bytes(b"\xff\xc3 " + encoded)
        assert match.is_sure
        assert unicodedata.normalize("NFKC", encoded[match.start - 3 : match.end - 3].decode())


def _digit(zero: str, value: int) -> str:
    return (
        "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[value]
        if zero == "\u2070"
        else chr(ord(zero) + value)
    )


def test_every_digit_of_unicode_is_a_digit() -> None:
    for point in range(sys.maxunicode + 1):
        value = unicodedata.decimal(chr(point), None)
        if value is not None:
            assert fold(chr(point)).text == fold_bytes(chr(point).encode()).text == str(value)


@pytest.mark.parametrize("text", [*IN_ANOTHER_NUMBER, *AN_INSTANT, "475 99 88", "", "bkg_0192fa475998876e"])
def test_another_number_and_an_instant_stay(text: str) -> None:
    for around in (text, f"at {text}, then", f'{{"x": "{text}"}}'):
        done = BELGIAN.search(around)
        assert (done.text, done.found, done.is_unsure) == (around, False, False)


@pytest.mark.parametrize(("spellings", "text"), SIMILAR)
def test_similar_digits_stay_and_are_said(spellings: Spellings, text: str) -> None:
    done = spellings.search(f"x {text} y")
    assert (done.text, done.found, done.is_unsure) == (f"x {text} y", False, True)


def test_a_date_is_no_number() -> None:
    assert not Spellings("+4720240705").search("2024-07-05T12:34:56Z, 2024-07-05 12:00").is_unsure


def test_a_list_of_numbers_loses_one() -> None:
    text = "+3225551234 0475998877, 0475 99 88 78; 0475 99 88 77"
    assert BELGIAN.search(text).text == "+3225551234 erased, 0475 99 88 78; erased"


@pytest.mark.parametrize(
    "piece", ["\\", "%25", "&amp;", "4", "47", "4 ", "+32", "0", "475998877", "\u0664", "2024-07-05", " "]
)
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        content = (piece * length)[:length].encode()
        began = time.process_time()
        assert not [match for match in BELGIAN.matches_in_bytes(content) if match.is_sure]
        return time.process_time() - began

    assert seconds(100_000) < 10 * max(seconds(25_000), 0.02)
