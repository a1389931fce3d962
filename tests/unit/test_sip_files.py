"""Which SIP transports are configured, who may use them, and that encryption is complete or off."""

import io
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from engine.asterisk.attach_steps import remaining_steps
from engine.asterisk.drop_ins import write_drop_ins
from engine.asterisk.sip_config import UnusableFile, known_addresses
from engine.config.settings import Settings
from engine.config.trunk_settings import host_of
from engine.local.panel import show
from engine.local.ports import refuse_taken_ports
from engine.local.processes import StartFailed
from phones.ports import free_port
from tests.unit.test_asterisk_files import KEPT, drop_ins, options, own, program

__all__ = ["program"]

OVER_TLS = "sip:192.0.2.9:5061;transport=tls"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """Returns settings of a system that uses TLS."""
    files = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "ca")}
    for path in files.values():
        path.write_text("-----BEGIN SOMETHING-----\n")
        path.chmod(0o600)
    return {
        "sip_tls_port": 5061,
        "sip_tls_certificate": files["certificate"],
        "sip_tls_key": files["key"],
        "sip_tls_ca": files["ca"],
        "trunk_uri": OVER_TLS,
    }


def included(etc: Path) -> set[str]:
    return set(re.findall('^#include "(pjsip_[a-z]+.conf)"', (etc / "pjsip.conf").read_text(), re.MULTILINE))


ALWAYS = {"pjsip_softphones.conf"}
PLAIN, TLS, ACL = "pjsip_plain.conf", "pjsip_tls.conf", "pjsip_acl.conf"


def test_by_default_sip_is_plain_and_only_the_carrier_is_permitted(program: Any) -> None:
    etc = own(program, trunk_uri="sip:192.0.2.9:5060", carrier_addresses=["198.51.100.0/28", "2001:db8::1"]).etc
    assert included(etc) == ALWAYS | {PLAIN, ACL}
    permits = re.findall("^permit = (.*)$", (etc / ACL).read_text(), re.MULTILINE)
    assert permits == ["198.51.100.0/28", "2001:db8::1/128", "192.0.2.9/32"]
    assert re.findall("^deny = (.*)$", (etc / ACL).read_text(), re.MULTILINE) == ["0.0.0.0/0.0.0.0", "::/0"]


@pytest.mark.parametrize(
    "changes", [{"profile": "demo"}, {"trunk_uri": "sip:sbc.carrier.example:5060"}], ids=["softphones", "by name"]
)
def test_without_a_known_carrier_address_the_acl_excludes_no_address(program: Any, changes: dict[str, Any]) -> None:
    assert included(own(program, **changes).etc) == ALWAYS | {PLAIN}


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:192.0.2.1", "192.0.2.1"),
        ("sip:192.0.2.1:5060;transport=tcp", "192.0.2.1"),
        ("sips:[2001:db8::1]:5061", "2001:db8::1"),
        ("sip:[2001:db8::1]", "2001:db8::1"),
        ("sip:sbc.carrier.example:5061;transport=tls", "sbc.carrier.example"),
    ],
)
def test_a_trunks_host_is_found_in_every_form_of_its_uri(uri: str, host: str) -> None:
    assert host_of(uri) == host


def test_an_acl_names_each_address_once() -> None:
    settings = Settings.model_validate({"trunk_uri": "sip:192.0.2.1", "carrier_addresses": ["192.0.2.1"]})
    assert known_addresses(settings) == ["192.0.2.1/32"]


def test_tls_disables_plain_sip(program: Any, tls: dict[str, Any]) -> None:
    etc = own(program, **tls).etc
    assert included(etc) == ALWAYS | {TLS, ACL}
    assert options(etc / TLS, "tls")["bind"] == "127.0.0.1:5061"
    transport = options(etc / TLS, "sip-tls")
    assert transport["cert_file"] == str(tls["sip_tls_certificate"])
    assert transport["priv_key_file"] == str(tls["sip_tls_key"])
    assert transport["ca_list_file"] == str(tls["sip_tls_ca"])
    assert (transport["verify_server"], transport["verify_client"]) == ("yes", "yes")
    assert transport["require_client_cert"] == "no"
    strict = own(program, **tls, sip_tls_client_certificate=True).etc
    assert options(strict / TLS, "sip-tls")["require_client_cert"] == "yes"


def test_plain_sip_stays_if_configured_and_in_the_demo(program: Any, tls: dict[str, Any]) -> None:
    assert included(own(program, **tls, sip_plain=True).etc) == ALWAYS | {PLAIN, TLS, ACL}
    assert included(own(program, **tls, profile="demo").etc) == ALWAYS | {PLAIN, TLS}


def test_no_cipher_of_an_older_tls_version_is_accepted(program: Any, tls: dict[str, Any]) -> None:
    ciphers = options(own(program, **tls).etc / TLS, "sip-tls")["cipher"].split(",")
    assert ciphers
    assert [cipher for cipher in ciphers if not re.fullmatch("ECDHE-.*(GCM-SHA(256|384)|POLY1305)", cipher)] == []


def test_srtp_is_required_of_both_sides(program: Any, tls: dict[str, Any]) -> None:
    etc = own(program, **tls, media_encryption="sdes").etc
    for side in ("carrier-main", "trunk-main"):
        message = options(etc / "pjsip_rented_numbers.conf", side)
        assert (message["media_encryption"], message["media_encryption_optimistic"]) == ("sdes", "no")
    assert "load = res_srtp.so" in (etc / "modules.conf").read_text()
    assert "media_encryption" not in (own(program).etc / "pjsip_rented_numbers.conf").read_text()


def test_optional_encryption_is_for_calls_that_come_in(program: Any) -> None:
    file = own(program, media_encryption="optional").etc / "pjsip_rented_numbers.conf"
    carrier, trunk = options(file, "carrier-main"), options(file, "trunk-main")
    assert (carrier["media_encryption"], carrier["media_encryption_optimistic"]) == ("sdes", "yes")
    assert "media_encryption" not in trunk


def test_drop_ins_encrypt_over_a_transport_of_their_own(tmp_path: Path) -> None:
    changes = {"trunk_uri": OVER_TLS, "media_encryption": "sdes", "manage_asterisk": False}
    text = drop_ins(tmp_path / "out", **changes)["pjsip_rented_numbers.conf"]
    assert text.count("media_encryption = sdes\nmedia_encryption_optimistic = no") == 2
    settings = Settings.model_validate(changes)
    written = write_drop_ins(settings, KEPT, tmp_path / "out")
    assert "protocol = tls" in "".join(remaining_steps(settings, tmp_path / "out", written))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trunk_uri": OVER_TLS}, "sip_tls_port must be set"),
        ({"sip_plain": False}, "sip_tls_port must be set"),
        ({"sip_tls_port": 5061}, "sip_tls_port needs sip_tls_certificate and sip_tls_key"),
        ({"sip_tls_port": 5061, "sip_tls_certificate": "c"}, "sip_tls_port needs"),
        ({"sip_tls_port": 5060, "sip_tls_certificate": "c", "sip_tls_key": "k"}, "are both 5060"),
        (
            {"sip_tls_port": 5061, "sip_tls_certificate": "c", "sip_tls_key": "k", "sip_plain": False},
            "trunk_uri needs ;transport=tls",
        ),
        ({"media_encryption": "sdes"}, "unencrypted"),
        ({"media_encryption": "sdes", "manage_asterisk": False}, "unencrypted"),
        ({"media_encryption": "dtls"}, "'none', 'optional' or 'sdes'"),
    ],
)
def test_incomplete_tls_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(changes)


@pytest.mark.parametrize("name", ["sip_tls_certificate", "sip_tls_key", "sip_tls_ca"])
def test_a_tls_file_that_asterisk_cannot_use_is_named_before_the_start(
    program: Any, tls: dict[str, Any], name: str, tmp_path: Path
) -> None:
    with pytest.raises(UnusableFile, match=f"{name}: .*No such file"):
        own(program, **{**tls, name: tmp_path / "missing.pem"})
    (tmp_path / "no.pem").write_text("no PEM")
    with pytest.raises(UnusableFile, match=f"{name}: .*no PEM file"):
        own(program, **{**tls, name: tmp_path / "no.pem"})
    odd = tmp_path / "a;b.pem"
    odd.write_text("-----BEGIN SOMETHING-----\n")
    with pytest.raises(UnusableFile, match=f"{name}: .*cannot stand"):
        own(program, **{**tls, name: odd})


def test_a_key_that_others_can_read_is_refused(program: Any, tls: dict[str, Any]) -> None:
    tls["sip_tls_key"].chmod(0o644)
    with pytest.raises(UnusableFile, match=r"sip_tls_key: .*can be read by anybody"):
        own(program, **tls)


def test_unknown_sip_peers_cannot_write_lines_into_the_log(program: Any) -> None:
    mappings = options(own(program).etc / "pjproject.conf", "log_mappings")
    kept = {name: mappings.get(name) for name in ("asterisk_error", "asterisk_warning", "asterisk_notice")}
    assert kept == {"asterisk_error": "0", "asterisk_warning": "", "asterisk_notice": ""}


@pytest.mark.parametrize(("plain", "named"), [(True, ["UDP and TCP", "TLS"]), (False, ["TLS"])])
def test_the_panel_lists_every_listening_port_and_no_other(tls: dict[str, Any], plain: bool, named: list[str]) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    show(console, Settings.model_validate({**tls, "sip_plain": plain}), KEPT, {}, "")
    assert re.findall(r"127\.0\.0\.1:506[01], ([A-Za-z ]*[A-Z])", console.export_text()) == named


@pytest.mark.parametrize("name", ["sip_tls_port", "sip_port", "metrics_address"])
def test_a_taken_port_is_named_with_the_setting_that_moves_it(tls: dict[str, Any], name: str) -> None:
    ports = {each: free_port() for each in ("http_port", "fastagi_port", "ami_port", "sip_port", "sip_tls_port")}
    metrics = free_port()
    chosen = {**tls, "sip_plain": True, **ports, "metrics_address": f"127.0.0.1:{metrics}"}
    settings = Settings.model_validate(chosen)
    with (
        socket.create_server(("127.0.0.1", ports.get(name, metrics))),
        pytest.raises(StartFailed, match=f"RENTED_NUMBERS_{name.upper()} sets another port"),
    ):
        refuse_taken_ports(settings)
