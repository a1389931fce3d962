"""The client's address behind proxies, and who can forge it."""

from ipaddress import ip_network

import pytest

from api.http.client_ip import NOWHERE, client_ip_of

PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("2001:db8::/64")]


def source(peer: str | None, *forwarded: str) -> str:
    return str(client_ip_of(peer, forwarded, PROXIES))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not one of our proxies
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the client's own entries come first
        ("127.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),  # two proxies
        ("127.0.0.1", ["203.0.113.9, 10.1.2.3, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["203.0.113.9, nonsense"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9:4711"], "127.0.0.1"),
        ("127.0.0.1", ['203.0.113.9",X="'], "127.0.0.1"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["2001:db8:1::9"], "2001:db8:1::9"),
        ("127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        (None, ["203.0.113.9"], str(NOWHERE)),
    ],
)
def test_only_addresses_added_by_trusted_proxies_count(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert source(peer, *forwarded) == expected


def test_a_long_header_is_read_from_its_end() -> None:
    assert source("127.0.0.1", ", ".join(["198.51.100.1"] * 500 + ["203.0.113.9"])) == "203.0.113.9"
