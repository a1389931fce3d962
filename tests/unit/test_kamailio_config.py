"""Kamailio's files follow from the settings, and so does the header by which Asterisk recognises Kamailio."""

import grp
import os
import re
from pathlib import Path
from typing import Any

import pytest

from engine.asterisk import kamailio_config
from engine.asterisk.kamailio_config import KamailioUnusable, write_kamailio
from engine.asterisk.sip_config import UnusableFile, known_addresses
from engine.asterisk.trunk_sections import trunk_sections
from engine.config.secrets import KamailioSecrets, ensure, kamailio_secrets
from engine.config.settings import Settings
from tests.unit.test_settings import alone

__all__ = ["alone"]  # a fixture

SHARED = KamailioSecrets("mask", "token")
TRUNKS: list[dict[str, Any]] = [
    {"name": "first", "uri": "sip:192.0.2.10", "addresses": ["192.0.2.10", "198.51.100.0/28"]},
    {"name": "second", "uri": "sip:192.0.2.11", "addresses": ["2001:db8::1"], "dialled_number": "to"},
    {"name": "third", "uri": "sip:192.0.2.12", "dialled_number": "to"},
]
SETTINGS: dict[str, Any] = {
    "sip_host": "0.0.0.0",  # noqa: S104  written into a file, not bound
    "kamailio_host": "192.0.2.5",
    "nodes": ["192.0.2.21:5060", "[2001:db8::22]:5070"],
    "ring_timeout": 40,
    "trunks": TRUNKS,
}


def test_the_files_follow_from_the_settings(tmp_path: Path) -> None:
    files = write_kamailio(Settings.model_validate(SETTINGS), SHARED, tmp_path / "kamailio")
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == dict.fromkeys(
        ("kamailio.cfg", "dispatcher.list", "address.list"), 0o640
    )
    config, nodes, addresses = (path.read_text() for path in files)
    assert not re.search(r"@[a-z_]+@", config)
    assert "#!define WITH_TLS" not in config
    for line in (
        "listen=udp:192.0.2.5:5060",
        f'modparam("permissions", "address_file", "{tmp_path}/kamailio/address.list")',
        'modparam("tm", "fr_inv_timer", 120000)',
        'modparam("tm", "max_inv_lifetime", 160000)',
        'modparam("topoh", "mask_key", "mask")',
        'append_hf("X-RN-Trunk: first-token\\r\\n");',
        'if ($avp(trunk) =~ "^(second)$") {',
    ):
        assert line in config
    assert nodes == "1 sip:192.0.2.21:5060 0 0\n1 sip:[2001:db8::22]:5070 0 0\n"
    assert addresses.splitlines() == [
        "1 192.0.2.10 32 0 first",
        "1 198.51.100.0 28 0 first",
        "1 2001:db8::1 128 0 second",
        "2 192.0.2.21",
        "2 2001:db8::22",
    ]


@pytest.mark.parametrize(("ringing", "silence", "invite"), [(30, 120_000, 150_000), (300, 330_000, 420_000)])
def test_a_call_may_take_as_long_as_the_questions_for_a_pin_and_the_ringing(
    tmp_path: Path, ringing: int, silence: int, invite: int
) -> None:
    settings = Settings.model_validate({**SETTINGS, "ring_timeout": ringing})
    [config, *_] = write_kamailio(settings, SHARED, tmp_path)
    limits = dict(
        re.findall(r'^modparam\("tm", "(fr_inv_timer|max_inv_lifetime)", (\d+)\)$', config.read_text(), re.MULTILINE)
    )
    assert limits == {"fr_inv_timer": str(silence), "max_inv_lifetime": str(invite)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to any group")
def test_root_gives_the_files_to_kamailios_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it writes them again, after a change of the settings."""
    group = next(each for each in grp.getgrall() if each.gr_gid != 0)
    monkeypatch.setattr(kamailio_config, "GROUP", group.gr_name)
    for _ in range(2):
        files = write_kamailio(Settings.model_validate(SETTINGS), SHARED, tmp_path / "kamailio")
        assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(0, group.gr_gid)}
    monkeypatch.setattr(kamailio_config, "GROUP", "no-such-group")
    write_kamailio(Settings.model_validate(SETTINGS), SHARED, tmp_path / "kamailio")
    assert {path.stat().st_gid for path in files} == {0}


def test_tls_is_written_from_the_settings_of_asterisks_tls(tmp_path: Path) -> None:
    certificate, key, ca = (tmp_path / name for name in ("sip.pem", "sip.key", "ca.pem"))
    for path in (certificate, key, ca):
        path.touch(0o600)
        path.write_text("-----BEGIN ")
    files = {"sip_tls_certificate": certificate, "sip_tls_key": key, "sip_tls_ca": ca}
    settings = {**SETTINGS, **files, "kamailio_tls_port": 5061}
    *_, tls = written = write_kamailio(Settings.model_validate(settings), SHARED, tmp_path / "kamailio")
    assert (tls.name, tls.stat().st_mode & 0o777) == ("tls.cfg", 0o640)
    config, text = written[0].read_text(), tls.read_text()
    assert {"#!define WITH_TLS", "listen=tls:192.0.2.5:5061"} <= set(config.splitlines())
    for line in ("method = TLSv1.2+", f'certificate = "{certificate}"', f'private_key = "{key}"', f'ca_list = "{ca}"'):
        assert text.count(line) == 2, line
    assert text.count("verify_certificate = yes") == 2
    # Carriers need no certificate unless the setting says so; those that we connect to do.
    assert re.findall("require_certificate = (.*)", text) == ["no", "yes"]
    settings["sip_tls_client_certificate"] = True
    write_kamailio(Settings.model_validate(settings), SHARED, tmp_path / "kamailio")
    assert re.findall("require_certificate = (.*)", tls.read_text()) == ["yes", "yes"]
    key.chmod(0o644)
    with pytest.raises(UnusableFile, match="sip_tls_key"):
        write_kamailio(Settings.model_validate(settings), SHARED, tmp_path / "kamailio")


def test_asterisk_listens_without_tls_where_kamailio_stands_before_it() -> None:
    """It sends calls over UDP, even if all trunks use TLS."""
    secure = [{**TRUNKS[0], "uri": "sip:192.0.2.10;transport=tls"}]
    more = {"sip_tls_port": 5061, "sip_tls_certificate": "a", "sip_tls_key": "b", "profile": "production"}
    settings = {**SETTINGS, **more, "trunks": secure}
    assert Settings.model_validate(settings).plain_sip
    assert not Settings.model_validate({**settings, "kamailio_host": None}).plain_sip
    with pytest.raises(ValueError, match="Kamailio"):
        Settings.model_validate({**settings, "sip_plain": False})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kamailio_tls_port": 5061}, "sip_tls_certificate"),
        ({"kamailio_host": None}, "RENTED_NUMBERS_KAMAILIO_HOST"),
        ({"nodes": []}, "RENTED_NUMBERS_NODES"),
        ({"trunks": TRUNKS[2:]}, "addresses"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(KamailioUnusable, match=message):
        write_kamailio(Settings.model_validate({**SETTINGS, **more}), SHARED, tmp_path)


@pytest.mark.parametrize("node", ["192.0.2.21", "node.example:5060", "192.0.2.21:0", "2001:db8::22:5060", "a;b:1"])
def test_a_node_is_an_address_and_a_port(node: str) -> None:
    with pytest.raises(ValueError, match="nodes"):
        Settings.model_validate({**SETTINGS, "nodes": [node]})


def test_asterisk_knows_calls_by_kamailios_header_alone(tmp_path: Path) -> None:
    settings = Settings.model_validate(SETTINGS)
    text = trunk_sections(settings.trunks_in_use, {}, "token")
    assert re.findall("^match_header = (.*)$", text, re.MULTILINE) == [
        "X-RN-Trunk: first-token",
        "X-RN-Trunk: second-token",
    ]
    # The carriers themselves may only end calls that left over their trunks.
    found = re.findall(r"^type = identify\nendpoint = (\S+)\nmatch = (\S+)$", text, re.MULTILINE)
    assert found == [("trunk-first", "192.0.2.10"), ("trunk-second", "192.0.2.11"), ("trunk-third", "192.0.2.12")]
    assert known_addresses(settings)[0] == "192.0.2.5"


def test_kamailio_and_its_nodes_derive_the_same_secrets_from_one_file(tmp_path: Path) -> None:
    ensure(tmp_path / "one")
    ensure(tmp_path / "two")
    one, two = kamailio_secrets(tmp_path / "one"), kamailio_secrets(tmp_path / "two")
    assert len({*one, *two}) == 4
    (tmp_path / "two" / "kamailio_key").write_text((tmp_path / "one" / "kamailio_key").read_text())
    assert kamailio_secrets(tmp_path / "two") == one


def test_kamailio_waits_for_as_long_as_the_dialplan_asks_for_pins() -> None:
    dialplan = (
        Path(kamailio_config.__file__).parents[2] / "asterisk_conf/drop_in/extensions_rented_numbers.conf"
    ).read_text()
    [tries] = re.findall(r"LEN\(\$\{RN_TRIES\}\)\} > (\d+)\]", dialplan)
    [seconds] = re.findall(r"Set\(TIMEOUT\(absolute\)=(\d+)\)\n same => n,Read\(RN_PIN,", dialplan)
    assert int(tries) * int(seconds) == kamailio_config.PIN_SECONDS
