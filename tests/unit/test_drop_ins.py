"""What an existing Asterisk gets: the settings, the secrets, and no more rights than it needs."""

import re
from pathlib import Path
from typing import Any

import pytest

from engine.asterisk.config_files import AMI_USER, AsteriskMissing
from engine.asterisk.drop_ins import write_drop_ins
from engine.config.settings import Settings
from tests.unit.test_asterisk_files import DROP_INS, KEPT, drop_ins, options
from tests.unit.test_settings import alone

__all__ = ["alone"]  # a fixture


def test_rewriting_a_file_that_others_can_read_makes_it_private(tmp_path: Path) -> None:
    (tmp_path / DROP_INS[2]).write_text("old")
    (tmp_path / DROP_INS[2]).chmod(0o644)
    assert KEPT.ami_secret in drop_ins(tmp_path)[DROP_INS[2]]
    assert (tmp_path / DROP_INS[2]).stat().st_mode & 0o777 == 0o640


def test_a_link_in_place_of_a_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / DROP_INS[2]).symlink_to(tmp_path / "elsewhere")
    drop_ins(tmp_path / "etc")
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_drop_ins_contain_the_settings(tmp_path: Path) -> None:
    texts = drop_ins(
        tmp_path,
        fastagi_host="192.0.2.7",
        fastagi_peers=["192.0.2.20"],
        fastagi_port=4999,
        carrier_addresses=["192.0.2.1", "198.51.100.9/24", "2001:db8::1"],
    )
    assert texts[DROP_INS[0]].count("RN_ENGINES=192.0.2.7:4999)") == 1
    assert options(tmp_path / DROP_INS[2], AMI_USER)["secret"] == KEPT.ami_secret
    matches = re.findall("^match = (.*)$", texts[DROP_INS[3]], re.MULTILINE)
    carrier, trunk = ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::1/128"], ["127.0.0.1"]
    assert matches == carrier + trunk


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"journal_dir": Path("/a,b")}, "set RENTED_NUMBERS_JOURNAL_DIR to one without commas"),
        ({"voice": True}, "set RENTED_NUMBERS_VOICE=false, or choose a directory without commas"),
    ],
)
def test_a_path_that_the_dialplan_cannot_name_is_refused_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], fix: str
) -> None:
    with pytest.raises(AsteriskMissing, match=fix):
        drop_ins(tmp_path / "c,d", **changes)


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("sip:192.0.2.7", "192.0.2.7"),
        ("sip:192.0.2.7:5070;transport=tcp", "192.0.2.7"),
        ("sip:[2001:db8::7]:5061", "2001:db8::7"),
        ("sip:198.51.100.9:5060", None),
        ("sip:sbc.carrier.example:5060", None),
    ],
)
def test_a_trunk_is_identified_by_its_own_address(tmp_path: Path, uri: str, match: str | None) -> None:
    """Otherwise Asterisk would log its number. Requests from the carrier's address are identified already."""
    changes = {"trunk_uri": uri, "carrier_addresses": ["198.51.100.0/24"], "manage_asterisk": False}
    text = drop_ins(tmp_path, **changes)[DROP_INS[3]]
    identify = f"[trunk-main]\ntype = identify\nendpoint = trunk-main\nmatch = {match}\n"
    assert (identify in text) == (match is not None)
    assert text.count("type = identify") == (2 if match else 1)


def test_the_transport_parameter_of_the_trunk_is_not_read_as_a_comment(tmp_path: Path) -> None:
    text = drop_ins(tmp_path, trunk_uri="sip:192.0.2.1:5060;transport=tcp")[DROP_INS[3]]
    assert "contact = sip:192.0.2.1:5060\\;transport=tcp\n" in text


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104  written into a file, not bound
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("agi.test", "agi.test"),
    ],
)
def test_asterisk_asks_the_engine_at_its_reachable_address(tmp_path: Path, bound: str, asked: str) -> None:
    assert (
        f"Set(RN_ENGINES={asked}:4573)"
        in drop_ins(tmp_path, fastagi_host=bound, fastagi_peers=["192.0.2.20"])[DROP_INS[0]]
    )


def test_asterisk_asks_each_engine_of_a_list_for_its_share_of_the_time(tmp_path: Path) -> None:
    text = drop_ins(tmp_path, fastagi_engines=["127.0.0.1:4573", "192.0.2.21:4573"])[DROP_INS[0]]
    assert "Set(RN_ENGINES=127.0.0.1:4573&192.0.2.21:4573)" in text
    assert "Set(TIMEOUT(absolute)=1.5)" in text


def test_the_ami_user_may_neither_run_nor_originate_anything_and_reads_only_our_reports(tmp_path: Path) -> None:
    drop_ins(tmp_path)
    user = options(tmp_path / DROP_INS[2], "rented-numbers")
    assert (user["write"], user["read"], user["eventfilter"]) == ("call", "user", "UserEvent: RentedNumbers")


@pytest.mark.parametrize(
    "permitted", [["127.0.0.1/32", "::1/128"], ["192.0.2.7/32"], ["198.51.100.0/24", "2001:db8::/64"]]
)
def test_the_ami_user_may_connect_only_from_the_engines_address(tmp_path: Path, permitted: list[str]) -> None:
    changes = {} if permitted[0].startswith("127.") else {"ami_permit": permitted}
    lines = drop_ins(tmp_path, **changes)[DROP_INS[2]].splitlines()
    rules = [line for line in lines if line.startswith(("deny", "permit"))]
    # The last matching rule decides, and without a match the address is permitted: so both families are denied first.
    assert rules == ["deny = 0.0.0.0/0.0.0.0", "deny = ::/0", *(f"permit = {each}" for each in permitted)]


def test_each_asterisk_uses_its_own_token(tmp_path: Path) -> None:
    one = write_drop_ins(Settings(), KEPT, tmp_path)[0].read_text()
    other = write_drop_ins(Settings(), KEPT, tmp_path, "another-token-0123456789")[0].read_text()
    assert one.count(KEPT.agi_token) == other.count("another-token-0123456789") == 3
    assert KEPT.agi_token not in other


def test_only_asterisk_can_read_the_file_with_the_token(tmp_path: Path) -> None:
    drop_ins(tmp_path)
    assert (tmp_path / DROP_INS[0]).stat().st_mode & 0o777 == 0o640
