"""Trunks: which settings are refused, with which message, and what Asterisk's files get of those that are not."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engine.asterisk.config_files import trunk_passwords
from engine.asterisk.sip_config import known_addresses, sip_values
from engine.asterisk.trunk_sections import trunk_sections
from engine.config.secrets import InsecureSecrets, write_trunk_password
from engine.config.settings import Settings
from engine.local.findings import Verdict
from engine.local.trunk_check import trunks as check_trunks

URI = "sip:192.0.2.10"
TLS_FILES = {"sip_tls_port": 5061, "sip_tls_certificate": "c", "sip_tls_key": "k"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)


def settings(*trunks: dict[str, Any], **more: Any) -> Settings:
    named = [{"name": f"t{number}", "uri": URI, **trunk} for number, trunk in enumerate(trunks)]
    return Settings.model_validate({"sip_host": "192.0.2.1", "trunks": named, **more})


# Trunks, other settings, and what the message must say.
REFUSED: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    ([{}], {"trunk_uri": URI}, "trunks and trunk_uri are set"),
    ([{}], {"carrier_addresses": ["192.0.2.1"]}, "trunks and carrier_addresses are set"),
    ([{}], {"media_encryption": "none"}, "trunks and media_encryption are set"),
    ([{"name": "a"}, {"name": "a"}], {}, "2 of them have the name a"),
    ([{"name": "A"}], {}, "name"),
    ([{"addresses": ["192.0.2.0/24"]}, {"addresses": ["192.0.2.7"]}], {}, "192.0.2.7/32 could be of trunk t0 and of"),
    ([{"register": True}], {}, "register needs username"),
    ([{"realm": "r"}], {}, "realm needs username"),
    ([{"expires": 59}], {}, "expires"),
    ([{"uri": "sips:192.0.2.10;transport=udp"}], {}, "uri: sips: works over TLS alone"),
    ([{"outbound_proxy": "sips:192.0.2.9;transport=tcp"}], {}, "outbound_proxy: sips: works over TLS alone"),
    ([{"media_encryption": "sdes"}], {}, "media_encryption = sdes needs ;transport=tls in uri"),
    (
        [{"uri": "sips:192.0.2.10", "outbound_proxy": URI, "media_encryption": "sdes"}],
        {},
        "media_encryption = sdes needs ;transport=tls in outbound_proxy",
    ),
    ([{"number_format": "national"}], {}, "number_format national needs country"),
    ([{"codecs": []}], {}, "codecs"),
    ([{"codecs": ["alaw", "alaw"]}], {}, "codecs has one of them twice"),
    ([{"codecs": ["gsm"]}], {}, "codecs"),
    ([{"caller_id_header": "ppi"}], {}, "caller_id_header"),
    ([{"dialled_number": "diversion"}], {}, "dialled_number"),
    ([{"password": "x"}], {}, "password"),
    ([{"uri": "sip:[2001:db8::1]"}], {}, "trunk t0 has an IPv6 address, but sip_host is 192.0.2.1"),
    ([{"outbound_proxy": "sip:[2001:db8::1]"}], {}, "trunk t0 has an IPv6 address"),
    ([{}], {"sip_host": "2001:db8::2"}, "trunk t0 has an IPv4 address, but sip_host is 2001:db8::2"),
    ([{"uri": f"{URI};transport=tls"}], {}, "sip_tls_port must be set"),
    ([{"uri": f"{URI};transport=tls"}, {}], {**TLS_FILES, "sip_plain": False}, "trunk t1 needs ;transport=tls"),
    ([{}] * 21, {}, "trunks"),
]


@pytest.mark.parametrize(("trunks", "more", "message"), REFUSED)
def test_trunks_that_cannot_work_are_refused_with_the_settings_name(
    trunks: list[dict[str, Any]], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(*trunks, **more)
    assert message in str(refused.value)


# Fields whose text stands in Asterisk's files, each with a good value.
TEXTS = {
    "name": "main",
    "uri": URI,
    "outbound_proxy": URI,
    "username": "acc@1",
    "realm": "a realm",
    "from_user": "+3212345678",
    "from_domain": "carrier.example",
    "addresses": ["192.0.2.7"],
}
ENDINGS = ["\nx = y", "\rx", ";x", "\0", "\u2028", '"', "[x]", "é"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_no_text_of_a_trunk_breaks_out_of_its_line(name: str, ending: str) -> None:
    good: Any = TEXTS[name]
    bad = [good[0] + ending] if isinstance(good, list) else good + ending
    settings({"username": "u", name: good})
    with pytest.raises(ValidationError):
        settings({"username": "u", name: bad})


def test_trunks_can_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'[{{"name": "a", "uri": "{URI}", "username": "u", "register": true}}, {{"name": "b", "uri": "{URI}"}}]'
    monkeypatch.setenv("RENTED_NUMBERS_TRUNKS", text)
    first, second = Settings(sip_host="192.0.2.1").trunks_in_use
    assert (first.name, first.registers, second.name, second.registers) == ("a", True, "b", False)


def test_plain_sip_stays_while_one_trunk_needs_it() -> None:
    over_tls = {"uri": f"{URI};transport=tls"}
    assert settings(over_tls, {}, **TLS_FILES).plain_sip
    assert not settings(over_tls, over_tls, **TLS_FILES).plain_sip


def section(text: str, name: str, kind: str) -> dict[str, str]:
    """The options of the section of a type, with escaped semicolons resolved."""
    for each in text.split("\n\n"):
        head, *lines = each.splitlines()
        options = dict(line.split(" = ", 1) for line in lines)
        found = options.get("type", "endpoint")
        if head.removesuffix("(rented-numbers)") == f"[{name}]" and found == kind:
            return {key: value.replace("\\;", ";") for key, value in options.items()}
    raise AssertionError(f"no {kind} {name} in {text}")


def test_a_trunk_with_everything_is_written_as_asterisk_reads_it() -> None:
    made = settings(
        {
            "name": "main",
            "uri": "sip:sbc.carrier.example:5061;transport=tls",
            "username": "acc@1",
            "realm": "a realm",
            "register": True,
            "expires": 300,
            "from_user": "acc",
            "from_domain": "carrier.example",
            "outbound_proxy": "sip:192.0.2.9:5061;transport=tls",
            "qualify": 5,
            "codecs": ["g722", "alaw"],
            "caller_id_header": "rpid",
            "media_encryption": "sdes",
            "addresses": ["192.0.2.9", "198.51.100.0/28"],
        },
        **TLS_FILES,
    )
    text = trunk_sections(made.trunks_in_use, {"main": "p;w\\;--"})
    proxy, uri = "sip:192.0.2.9:5061;transport=tls;lr", "sip:sbc.carrier.example:5061;transport=tls"
    common = {
        "identify_by": "ip", "outbound_auth": "trunk-main", "disallow": "all", "allow": "g722,alaw",
        "media_encryption": "sdes", "media_encryption_optimistic": "no",
    }  # fmt: skip
    # Nothing that shows an identity is in the section of those who call.
    assert section(text, "carrier-main", "endpoint") == {"context": "rented-numbers", **common}
    assert section(text, "trunk-main", "endpoint") == {
        "context": "rented-numbers-nowhere", "aors": "trunk-main", "outbound_proxy": proxy, "from_user": "acc",
        "from_domain": "carrier.example", "send_rpid": "yes", "rewrite_contact": "yes", **common,
    }  # fmt: skip
    assert section(text, "trunk-main", "aor") == {
        "type": "aor", "contact": uri, "qualify_frequency": "5", "qualify_timeout": "3", "outbound_proxy": proxy,
    }  # fmt: skip
    assert section(text, "trunk-main", "auth") == {
        "type": "auth", "auth_type": "userpass", "username": "acc@1", "password": "p;w\\;--", "realm": "a realm",
        "supported_algorithms_uac": "MD5,SHA-256,SHA-512-256",
    }  # fmt: skip
    registration = section(text, "trunk-main", "registration")
    assert registration["client_uri"] == "sip:acc%401@carrier.example"
    assert (registration["server_uri"], registration["outbound_proxy"]) == (uri, proxy)
    assert (registration["line"], registration["endpoint"], registration["expiration"]) == (
        "yes",
        "carrier-main",
        "300",
    )
    # It never gives up, whatever the answer: the longest wait is a minute.
    assert registration["auth_rejection_permanent"] == "no"
    waits = {name: int(value) for name, value in registration.items() if name.endswith("retry_interval")}
    assert len(waits) == 3
    assert 0 < min(waits.values()) <= max(waits.values()) == 60
    assert int(registration["max_retries"]) > 10**6
    # The proxy is one of the carrier's addresses: its requests are known already.
    assert text.count("type = identify") == 1


def test_stray_requests_of_a_proxy_are_identified() -> None:
    text = trunk_sections(settings({"uri": "sip:carrier.example", "outbound_proxy": "sip:192.0.2.9"}).trunks_in_use, {})
    assert section(text, "trunk-t0", "identify") == {
        "type": "identify", "endpoint": "trunk-t0", "match": "192.0.2.9",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trunk", "known"),
    [
        ({"addresses": ["198.51.100.0/28"]}, ["198.51.100.0/28", "192.0.2.10/32"]),
        ({"outbound_proxy": "sip:192.0.2.9"}, ["192.0.2.10/32", "192.0.2.9/32"]),
        ({"username": "u", "register": True}, ["192.0.2.10/32"]),
        # Where they cannot be known in advance, no address is refused.
        ({"uri": "sip:carrier.example"}, []),
        ({"outbound_proxy": "sip:proxy.carrier.example"}, []),
        ({"uri": "sip:carrier.example", "outbound_proxy": "sip:192.0.2.9"}, []),
    ],
)
def test_the_access_list_has_every_address_from_which_requests_may_come(
    trunk: dict[str, Any], known: list[str]
) -> None:
    assert known_addresses(settings(trunk)) == known
    assert known_addresses(settings(trunk, {"uri": "sip:other.example"})) == []


def test_every_transport_is_told_of_the_address_before_the_router() -> None:
    made = settings({}, external_address="pbx.example.org", local_networks=["192.168.0.0/16", "fd00::/8"])
    assert str(sip_values(made)["nat"]).splitlines() == [
        "external_signaling_address = pbx.example.org",
        "external_media_address = pbx.example.org",
        "local_net = 192.168.0.0/16",
        "local_net = fd00::/8",
    ]
    assert sip_values(settings({}))["nat"] == ""


@pytest.mark.parametrize(
    ("trunks", "sip_host", "binds"),
    [
        ([{}], "0.0.0.0", []),  # noqa: S104  written into a file, not bound
        ([{"uri": "sip:carrier.example"}], "0.0.0.0", []),  # noqa: S104
        ([{}, {"uri": "sip:[2001:db8::1]"}], "0.0.0.0", ["[::]:5060", "[::]:5060"]),  # noqa: S104
        ([{"addresses": ["2001:db8::/64"]}], "0.0.0.0", ["[::]:5060", "[::]:5060"]),  # noqa: S104
        ([{}], "::", ["0.0.0.0:5060", "0.0.0.0:5060"]),
        ([{"uri": "sip:[2001:db8::1]"}], "::", []),
    ],
)
def test_asterisk_listens_for_both_kinds_of_addresses_if_a_trunk_needs_it(
    trunks: list[dict[str, Any]], sip_host: str, binds: list[str]
) -> None:
    more = str(sip_values(settings(*trunks, sip_host=sip_host))["more_plain"])
    assert re.findall("^bind = (.*)$", more, re.MULTILINE) == binds


@pytest.mark.parametrize(
    ("trunk", "is_ipv6"),
    [
        ({}, False),
        ({"uri": "sip:[2001:db8::1]"}, True),
        ({"uri": "sip:carrier.example"}, False),
        ({"uri": "sip:carrier.example", "addresses": ["2001:db8::/64"]}, True),
        ({"addresses": ["2001:db8::/64"]}, False),
    ],
)
def test_sound_on_a_trunk_with_ipv6_addresses_uses_ipv6(trunk: dict[str, Any], is_ipv6: bool) -> None:
    text = trunk_sections(settings(trunk, sip_host="0.0.0.0").trunks_in_use, {})  # noqa: S104  written, not bound
    assert text.count("rtp_ipv6 = yes") == (2 if is_ipv6 else 0)


def test_a_username_needs_its_password_before_asterisks_files_are_written() -> None:
    made = settings({"name": "main", "username": "u"}, {})
    with pytest.raises(InsecureSecrets, match="`rented-numbers trunks password main` writes it"):
        trunk_passwords(made)
    write_trunk_password(made.data_dir / "secrets", "main", "secret")
    assert trunk_passwords(made) == {"main": "secret"}


@pytest.mark.parametrize(
    ("trunk", "verdict"),
    [
        ({}, Verdict.WARNING),
        ({"addresses": ["192.0.2.7"]}, Verdict.OK),
        ({"username": "u", "register": True}, Verdict.OK),
    ],
)
def test_doctor_warns_if_no_call_can_come_in_over_any_trunk(trunk: dict[str, Any], verdict: Verdict) -> None:
    made = settings(trunk)
    write_trunk_password(made.data_dir / "secrets", "t0", "secret")
    assert [finding.verdict for finding in check_trunks(made)] == [verdict]
