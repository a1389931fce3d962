"""Which text is a telephone number."""

import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from engine.domain.numbers import dialled, from_dialled, in_context, is_e164

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


# RFC 3966 sections 3 and 5.1.5: number, its URI as the dialplan passes it on → the number that is meant.
CONTEXTS = [
    ("4155550123", "", "4155550123"),
    ("4155550123", "<tel4155550123;phone-context=+1", "+14155550123"),
    ("4155550123", "<sip4155550123;phone-context=+1@127.0.0.1;user=phone", "+14155550123"),
    ("4155550123", "<sip4155550123@127.0.0.1;phone-context=+1;user=phone", "+14155550123"),
    ("99007777", "<tel99007777;phone-context=+3-3", "+3399007777"),
    ("21234567", "<tel21234567;phone-context=+357;x=1", "+35721234567"),
    # A global number has no context.
    ("+14155550123", "<tel+14155550123;phone-context=+44", "+14155550123"),
    # Section 5.1.5: a private plan; contexts that do not make a number when they are put before the digits.
    ("7042", "<tel7042;phone-context=example.com", ""),
    ("8631234", "<tel8631234;phone-context=+1-914-555", ""),
    ("911", "<tel911;phone-context=+1", ""),
    # A trunk prefix; no country's code; an empty one; two of them; a URI that could not be read.
    ("0199007777", "<tel0199007777;phone-context=+33", ""),
    ("99007777", "<tel99007777;phone-context=+331", ""),
    ("99007777", "<tel99007777;phone-context=33", ""),
    ("99007777", "<tel99007777;phone-context=", ""),
    ("99007777", "<tel99007777;phone-context=+33;phone-context=+44", ""),
    ("4155550123", "<", ""),
    # A display name is not the URI.
    ("4155550123", "<b;phone-context=+44<tel4155550123;phone-context=+1", "+14155550123"),
    ("4155550123", "<b;phone-context=+44<tel4155550123", ""),
]


@pytest.mark.parametrize(("sent", "uri", "number"), CONTEXTS)
def test_a_number_is_read_in_its_context_or_not_at_all(sent: str, uri: str, number: str) -> None:
    assert in_context(sent, uri) == number


def test_a_context_is_a_whole_country_code() -> None:
    codes = {str(code) for code in COUNTRY_CODE_TO_REGION_CODE}
    for text in [str(number) for number in range(10_000)]:
        taken = in_context("21234567", f"<tel21234567;phone-context=+{text}") != ""
        # Codes that no country has yet are taken, too: none of them begins with a country's, or begins one.
        related = any(text.startswith(code) or code.startswith(text) for code in codes)
        assert not related or taken == (text in codes), text


# The URI of To as the dialplan passes it on, perhaps with a display name → the dialled number.
IN_TO = {
    "<sip:+33199000001@h": "+33199000001",
    "<sips:33199000001@h;user=phone": "33199000001",
    "<<sip:0475123456@h>": "0475123456",
    "<tel:+33-1-99.00(00)01": "+33199000001",
    "<joe<sip:+33199000002@h><sip:+33199000001@h>": "+33199000001",
    "<sip:+33199000001;npdi@h": "+33199000001",
    "<sip:99000001;phone-context=+33@h": "+3399000001",
    "<sip:099000001;phone-context=+33@h": "",
    "<sip:trunk-user@h": "",
    "<sip:*31#@h": "",
    "<sip:+33199000001%2a@h": "",
    "<sip:+33199000001x@h": "",
    "<sip:h": "",
    # A host is no number, and a user may have a password.
    "<sip:10.11.12.13": "",
    "<sip:10.11.12.13:5060": "",
    "<sip:+3319900:0001@h": "",
    "<": "",
    "": "",
}


@pytest.mark.parametrize(("uri", "number"), IN_TO.items())
def test_the_dialled_number_is_the_user_of_the_last_uri_in_to(uri: str, number: str) -> None:
    assert dialled("", uri) == number


@pytest.mark.parametrize(("sent", "uri", "number"), CONTEXTS)
def test_a_number_of_the_request_uri_needs_nothing_of_to(sent: str, uri: str, number: str) -> None:
    assert dialled(sent, uri) == number
