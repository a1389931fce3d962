"""Asterisk's files for telephones: softphones and those in the browser, each with no more rights than it needs."""

from typing import Any

import pytest

from engine.asterisk.browser_phones import CALLER_NUMBER
from engine.asterisk.config_files import AsteriskProgram
from engine.asterisk.softphones import BROWSER_PHONE, SOFTPHONES
from tests.unit.test_asterisk_files import KEPT, Parsed, options, own, program
from tests.unit.test_settings import alone

__all__ = ["alone", "program"]  # fixtures

BROWSER_PHONE_FILES = {"pjsip_browser_phones.conf": "pjsip.conf", "modules_browser_phones.conf": "modules.conf"}


def test_the_demo_has_two_softphones_that_ring_for_their_own_numbers(program: AsteriskProgram) -> None:
    home = own(program, profile="demo", browser_phone=False)
    numbers = options(home.etc / "extensions.conf", "globals")
    assert numbers == {f"RN_PHONE_{phone.number.removeprefix('+')}": phone.user for phone in SOFTPHONES}
    for phone in SOFTPHONES:
        assert options(home.etc / "pjsip_softphones.conf", phone.user)["callerid"] == f"<{phone.number}>"


def test_production_has_no_softphones(program: AsteriskProgram) -> None:
    home = own(program, profile="production")
    text = "".join(path.read_text() for path in home.etc.iterdir())
    assert not [phone for phone in SOFTPHONES if phone.user in text or phone.number.removeprefix("+") in text]
    assert {each.name for each in Parsed(str(home.etc / "pjsip_softphones.conf")).categories} == {
        "softphone",
        "softphone-auth",
        "softphone-aor",
    }


@pytest.mark.parametrize(
    ("changes", "is_there"),
    [
        ({"profile": "production"}, False),
        ({"profile": "demo", "browser_phone": False}, False),
        ({"profile": "demo", "manage_asterisk": False}, False),
        ({"profile": "demo"}, True),
        ({"profile": "production", "browser_phone": True}, True),
    ],
)
def test_the_browsers_telephones_are_there_in_the_demo_and_where_a_setting_says_so(
    program: AsteriskProgram, changes: dict[str, Any], *, is_there: bool
) -> None:
    etc = own(program, **changes, browser_phone_port=8099).etc
    included = {name: f'#include "{name}"' in (etc / main).read_text() for name, main in BROWSER_PHONE_FILES.items()}
    assert included == dict.fromkeys(BROWSER_PHONE_FILES, is_there)
    http = options(etc / "http.conf", "general")
    assert (http["enabled"], http["bindaddr"]) == ("yes" if is_there else "no", "127.0.0.1")
    assert http["bindport"] == "8099"
    mapped = options(etc / "extensions.conf", "globals")
    assert (mapped.get(f"RN_PHONE_{BROWSER_PHONE.number.removeprefix('+')}") == BROWSER_PHONE.user) is is_there
    text = "".join(path.read_text() for path in etc.iterdir())
    assert [KEPT.browser_caller_password in text, KEPT.browser_hidden_password in text] == [is_there, is_there]


def test_the_caller_in_the_browser_cannot_be_called_and_the_hidden_telephone_cannot_call(
    program: AsteriskProgram,
) -> None:
    etc = own(program, profile="demo").etc
    caller = options(etc / "pjsip_browser_phones.conf", "browser-caller")
    hidden = options(etc / "pjsip_browser_phones.conf", "browser-hidden")
    both = options(etc / "pjsip_browser_phones.conf", "browser-phone")
    assert (both["media_address"], both["bind_rtp_to_media_address"]) == ("127.0.0.1", "yes")
    assert caller == {"context": "rented-numbers", "auth": "browser-caller", "callerid": f"<{CALLER_NUMBER}>"}
    assert hidden == {"context": "no-calls", "auth": "browser-hidden", "aors": "browser-hidden"}
    assert options(etc / "extensions.conf", "no-calls") == {}
    assert (etc / "extensions.conf").read_text().endswith("[no-calls]\n")
