"""Only what can be read as exactly one number is the identity that a carrier asserts."""

from urllib.parse import quote

import pytest

from agi_scripts.asserted_identity import LONGEST_HEADER, asserted_number
from engine.domain.number_plan import INTERNATIONAL, NumberFormat, NumberPlan

NUMBER = "+33199001234"
OTHER = "+33199005678"
FRANCE = NumberPlan(NumberFormat.NATIONAL, "FR")


def argument(*headers: str, count: int | None = None) -> str:
    """What the dialplan passes on of these headers."""
    first, second = (*headers, "", "")[:2]
    encoded = [quote(f".{each[: LONGEST_HEADER + 1]}", safe="-_.!~*'") for each in (first, second)]
    return "/".join([str(len(headers) if count is None else count), *encoded])


@pytest.mark.parametrize(
    "headers",
    [
        (f"<sip:{NUMBER}@carrier.example>",),
        (f"<sip:{NUMBER};npdi@carrier.example;user=phone>",),
        (f"<SIP:{NUMBER}@CARRIER.EXAMPLE>",),
        (f"<tel:{NUMBER}>",),
        (f"sip:{NUMBER}@carrier.example;user=phone",),
        (f"tel:{NUMBER}",),
        (f'"Zoé \\" Quidam, <sip:{OTHER}@x>" <sip:{NUMBER}@carrier.example>',),
        (f"Zoe Quidam <sip:{NUMBER}@carrier.example>",),
        (f"<sip:zoe@carrier.example>, <tel:{NUMBER}>",),
        ("<sip:zoe@carrier.example>", f"<tel:{NUMBER}>"),
        (f"<sip:{NUMBER}@carrier.example>", "<tel:+33-1-99-00-12-34>"),
        ("<tel:199001234;phone-context=+33>",),
        ("<sip:0033199001234@carrier.example>",),
    ],
)
def test_one_number_however_it_is_written_is_the_caller(headers: tuple[str, ...]) -> None:
    assert asserted_number(argument(*headers), INTERNATIONAL) == NUMBER


def test_a_national_number_is_read_by_the_carriers_plan() -> None:
    assert asserted_number(argument("<sip:0199001234@carrier.example>"), FRANCE) == NUMBER


@pytest.mark.parametrize(
    "given",
    [
        "",
        argument(),
        argument(""),
        argument(f"<tel:{NUMBER}>", f"<tel:{OTHER}>"),
        argument(f"<sip:{NUMBER}@x>, <tel:{OTHER}>"),
        # Only two headers are read: the third could name another number.
        argument(f"<tel:{NUMBER}>", f"<tel:{NUMBER}>", count=3),
        # What was cut off could do so, too.
        argument(f'"{"x" * LONGEST_HEADER}" <tel:{NUMBER}>'),
        argument(f"<tel:{NUMBER}>,{' ' * LONGEST_HEADER}<tel:{OTHER}>"),
        argument(f'"<tel:{NUMBER}>'),
        argument(f'"<tel:{NUMBER}>" <sip:zoe@x>'),
        argument(f"<tel:{NUMBER}> <tel:{OTHER}>"),
        argument(f"<tel:{NUMBER}"),
        argument(f"<sip:zoe@x;{NUMBER}>"),
        argument(f"<sip:zoe:{NUMBER}@x>"),
        argument(f"<sip:{NUMBER}>"),
        argument("<sip:anonymous@anonymous.invalid>"),
        argument(f"<tel:{NUMBER}>", "<tel:123>"),
        argument("<tel:112>"),
        argument("<tel:0199001234>"),
        f"1/.%3Ctel%3A{NUMBER}%0a%3E/.",
        "x/.y/.z",
        "1",
        "/",
    ],
)
def test_anything_else_is_nobody(given: str) -> None:
    assert asserted_number(given, INTERNATIONAL) is None
