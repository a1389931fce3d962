"""Which URLs may be called, and to which addresses a socket may be opened."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.callbacks.guard import AddressForbidden, check_callback, open_socket, policy_for
from engine.domain.errors import CallbackNotAcceptable

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

# Spellings of addresses that a callback must never reach. Names of DNS are tried with real sockets elsewhere.
FORBIDDEN_HOSTS = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "evil.localhost",
    "intranet",
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0.0.1",
    "127.0.0x1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "0",
    "0.0.0.0",  # noqa: S104  an address to be refused, nothing binds to it
    "0x0",
    "00",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "3232235777",
    "169.254.169.254",
    "169.254.170.2",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[2606:4700::1111%25lo]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[4000::1]",
]


@pytest.mark.parametrize("url", ACCEPTABLE)
def test_an_ordinary_url_is_acceptable(url: str) -> None:
    check_callback(url, allow_private=False)


@pytest.mark.parametrize("url", NOT_ACCEPTABLE)
def test_what_is_no_plain_https_url_is_refused_without_repeating_its_secrets(url: str) -> None:
    with pytest.raises(CallbackNotAcceptable) as refused:
        check_callback(url, allow_private=False)
    assert "hunter2" not in str(refused.value)
    assert str(refused.value)


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_no_spelling_of_a_forbidden_host_is_acceptable(host: str) -> None:
    with pytest.raises(CallbackNotAcceptable):
        check_callback(f"https://{host}/", allow_private=False)


def test_a_url_has_a_longest_length() -> None:
    url = "https://example.com/"
    check_callback(url + "a" * (2048 - len(url)), allow_private=False)
    with pytest.raises(CallbackNotAcceptable):
        check_callback(url + "a" * (2049 - len(url)), allow_private=False)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/", "http://127.9.9.9/", "http://[::1]:80/", "http://localhost/", "http://example.com/"],
)
def test_allow_private_opens_loopback_and_plain_http(url: str) -> None:
    check_callback(url, allow_private=True)
    with pytest.raises(CallbackNotAcceptable):
        check_callback(url, allow_private=False)


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "0.0.0.1"],
)
def test_allow_private_opens_nothing_else(host: str) -> None:
    with pytest.raises(CallbackNotAcceptable):
        check_callback(f"http://{host}/", allow_private=True)


@given(st.text(max_size=80) | st.text(max_size=40).map("https://{}".format))
def test_any_text_is_either_acceptable_or_refused(url: str) -> None:
    try:
        check_callback(url, allow_private=False)
    except CallbackNotAcceptable:
        return
    assert url.lower().startswith("https://")


@given(st.ip_addresses())
def test_a_socket_is_made_only_for_what_the_policy_permits(address: object) -> None:
    family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
    info = (family, socket.SOCK_STREAM, 0, "", (str(address), 443))
    if policy_for(allow_private=False).permits_address(str(address)):
        open_socket(info, allow_private=False).close()
    else:
        with pytest.raises(AddressForbidden):
            open_socket(info, allow_private=False)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "fe80::1%lo", "::ffff:127.0.0.1", "not an address"]
)
def test_no_socket_goes_to_a_forbidden_address(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(AddressForbidden):
        open_socket((family, socket.SOCK_STREAM, 0, "", (address, 443)), allow_private=False)
