"""Which URLs may be called, and to which addresses a socket may connect."""

import socket
from ipaddress import ip_address

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.callbacks import ssrf
from engine.callbacks.ssrf import (
    AddressForbidden,
    GuardedSocket,
    check_callback,
    is_this_machine,
    open_socket,
    policy_for,
)
from engine.config.policy import callback_rules_of
from engine.config.settings import Settings
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.policy import CallbackRules
from tests.spellings import FORBIDDEN_HOSTS, TRICKS

PRODUCTION = callback_rules_of(Settings(profile="production"))
DEMO = callback_rules_of(Settings(profile="demo"))

ACCEPTABLE = [
    "https://example.com",
    "https://example.com/callback?token=a%2Fb&x=1",
    "HTTPS://EXAMPLE.com:8443/",
    "https://sub.xn--e1afmkfd.xn--p1ai/",
    "https://example.com./",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/",
    "https://[::ffff:8.8.8.8]/",
    "https://1.example.com/",
    "https://0xbee.example.com/",
]

NOT_ACCEPTABLE = [
    "",
    "example.com",
    "//example.com/",
    "/callback",
    "https://",
    "https:///callback",
    "https:example.com",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user:hunter2@example.com/",
    "https://hunter2@example.com/",
    "https://@example.com/",
    "https://example.com/#hunter2",
    "https://example.com#",
    "https://example.com/\nX: y",
    "https://example.com/\r",
    "https://example.com/\0",
    "https://exa\tmple.com/",
    " https://example.com/",
    "https://example.com/a b",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/<x>",
    "https://пример.рф/",
    "https://①②⑦.⓪.⓪.①/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:hunter2/",
    "https://example.com:-1/",
    "https://[::1/",
    "https://[vhunter2]/",
    "https://exa_mple.com/",
    "https://example..com/",
    "https://-example.com/",
    "https://127.0.0.1%2f.example.com/",
    "https://" + "a." * 130 + "com/",
]


@pytest.mark.parametrize("url", ACCEPTABLE)
def test_an_ordinary_url_is_acceptable(url: str) -> None:
    check_callback(url, PRODUCTION)


@pytest.mark.parametrize("url", NOT_ACCEPTABLE)
def test_a_url_other_than_plain_https_is_refused_without_repeating_its_secrets(url: str) -> None:
    with pytest.raises(CallbackNotAcceptable) as refused:
        check_callback(url, PRODUCTION)
    assert "hunter2" not in str(refused.value)
    assert str(refused.value)


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_every_spelling_of_a_forbidden_host_is_refused(host: str) -> None:
    with pytest.raises(CallbackNotAcceptable):
        check_callback(f"https://{host}/", PRODUCTION)


def test_a_url_that_is_too_long_is_refused() -> None:
    url = "https://example.com/"
    check_callback(url + "a" * (2048 - len(url)), PRODUCTION)
    with pytest.raises(CallbackNotAcceptable):
        check_callback(url + "a" * (2049 - len(url)), PRODUCTION)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/", "http://127.9.9.9/", "http://[::1]:80/", "http://localhost/", "http://example.com/"],
)
def test_the_demo_allows_loopback_plain_http_and_all_ports(url: str) -> None:
    check_callback(url, DEMO)
    with pytest.raises(CallbackNotAcceptable):
        check_callback(url, PRODUCTION)


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "0.0.0.1"],
)
def test_the_demo_allows_nothing_else(host: str) -> None:
    with pytest.raises(CallbackNotAcceptable):
        check_callback(f"http://{host}/", DEMO)


@given(st.text(max_size=80) | st.text(max_size=40).map("https://{}".format))
def test_any_text_is_either_acceptable_or_refused(url: str) -> None:
    try:
        check_callback(url, PRODUCTION)
    except CallbackNotAcceptable:
        return
    assert url.lower().startswith("https://")


@given(st.ip_addresses())
def test_a_socket_is_created_only_for_permitted_addresses(address: object) -> None:
    family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
    info = (family, socket.SOCK_STREAM, 0, "", (str(address), 443))
    if policy_for(this_machine=False).permits_address(str(address)):
        open_socket(info, rules=PRODUCTION).close()
    else:
        with pytest.raises(AddressForbidden):
            open_socket(info, rules=PRODUCTION)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "fe80::1%lo", "::ffff:127.0.0.1", "not an address"]
)
def test_no_socket_connects_to_a_forbidden_address(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(AddressForbidden):
        open_socket((family, socket.SOCK_STREAM, 0, "", (address, 443)), rules=PRODUCTION)


@pytest.mark.parametrize("url", TRICKS, ids=ascii)
@pytest.mark.parametrize("rules", [PRODUCTION, DEMO], ids=["production", "demo"])
def test_a_url_that_parsers_read_differently_is_refused(url: str, rules: CallbackRules) -> None:
    plain = "https://127.0.0.1:9443/"
    with_port = url.format(port=9443)
    if rules is DEMO and with_port.lower() in {plain, "https://127.0.0.1:09443/", "https://localhost:9443/"}:
        check_callback(with_port, rules)  # plain loopback: the demo's own receivers
        return
    with pytest.raises(CallbackNotAcceptable):
        check_callback(with_port, rules)


@pytest.mark.parametrize("port", [80, 22, 25, 8080, 444, 65535])
def test_only_the_operators_ports_are_allowed_and_the_error_names_them(port: int) -> None:
    with pytest.raises(CallbackNotAcceptable, match="443 or 8443"):
        check_callback(f"https://example.com:{port}/", PRODUCTION)
    check_callback(f"https://example.com:{port}/", CallbackRules(ports=frozenset({port})))
    check_callback(f"https://example.com:{port}/", DEMO)


@pytest.mark.parametrize("port", [80, 22, 444])
def test_no_socket_connects_to_another_port(port: int) -> None:
    with pytest.raises(AddressForbidden):
        open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", port)), rules=PRODUCTION)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost", "LOCALHOST.", "x.localhost"])
@pytest.mark.parametrize("setting", ["http_port", "fastagi_port", "ami_port", "sip_port", "metrics_address"])
def test_this_systems_own_ports_are_always_refused(host: str, setting: str) -> None:
    port = int(str(getattr(Settings(), setting)).rpartition(":")[2])
    with pytest.raises(CallbackNotAcceptable, match="belongs to this system"):
        check_callback(f"http://{host}:{port}/", DEMO)
    check_callback(f"http://{host}:{port + 1}/", DEMO)


def test_a_guarded_socket_checks_what_the_kernel_is_given() -> None:
    """Even if a loop resolves the name again between the factory and the connection."""
    info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443))
    with open_socket(info, rules=PRODUCTION) as guarded:
        assert isinstance(guarded, GuardedSocket)
        for target in (("127.0.0.1", 443), ("10.0.0.1", 443), ("8.8.8.8", 80), ("localhost", 443)):
            with pytest.raises(AddressForbidden):
                guarded.connect(target)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])  # noqa: S104
def test_loopback_is_this_machine(address: str) -> None:
    assert is_this_machine(ip_address(address))


def test_an_address_of_an_interface_is_this_machine_and_a_foreign_one_is_not() -> None:
    own = {
        found.address
        for each in psutil.net_if_addrs().values()
        for found in each
        if found.family == socket.AF_INET and not found.address.startswith("127.")
    }
    assert all(is_this_machine(ip_address(address)) for address in own)
    for address in ("8.8.8.8", "203.0.113.9", "2606:4700:4700::1111"):
        assert not is_this_machine(ip_address(address))


def test_a_callback_to_a_public_address_of_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssrf, "is_this_machine", lambda address: str(address) == "8.8.4.4")
    with pytest.raises(CallbackNotAcceptable, match="belongs to this system"):
        check_callback("https://8.8.4.4/", PRODUCTION)
    with pytest.raises(AddressForbidden):
        open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.4.4", 443)), rules=PRODUCTION)
    check_callback("https://8.8.8.8/", PRODUCTION)
