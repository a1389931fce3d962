"""Protection against server-side request forgery (SSRF): customers choose the URLs, which may point at our network.

There are two checks, and only the second one protects:

- `check_callback` reads the URL when a booking is made. It looks no name up; it only reports mistakes early.
- `open_socket` creates every socket of a delivery, after the name was resolved. That socket checks the address again
  just before it connects. The check covers names that resolve to a forbidden address, names whose address changes
  between look-up and connection (DNS rebinding), and every spelling of an address.

A resolver that checks was rejected: aiohttp does not use the resolver if the URL's host is an address.
"""

import errno
import functools
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ssrfguard import DEFAULT_DENIED, AddressTable, BlockedAddressError, BlockedURLError, Policy, Reach
from ssrfguard import Block as AddressBlock

from engine.domain.errors import CallbackNotAcceptable
from engine.domain.policy import CallbackRules
from engine.runtime.addresses import unmapped

MAX_URL = 2048

# The characters of RFC 3986 without "#". Parsers disagree on all others (backslash, blank, tab, non-ASCII letters), and
# the URL that we check must be the URL that we connect to.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
# getaddrinfo accepts `0x7f000001`, `0177.0.0.1`, `2130706433` and `127.1` as addresses. No host name ends like that.
_ENCODED_ADDRESS = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_DOTTED_QUAD = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_LOOPBACK = ("127.0.0.0/8", "::1/128")

# ssrfguard's table lists forbidden addresses and allows the rest, for example `::ffff:0:7f00:1`. Of IPv6 we allow only
# global unicast; more specific entries of the table still take precedence.
_ADDRESSES = AddressTable(
    (
        *DEFAULT_DENIED.blocks,
        AddressBlock(ip_network("::/0"), "Not global unicast", "RFC4291", Reach.DENIED),
        AddressBlock(ip_network("2000::/3"), "Global unicast", "RFC4291", Reach.PERMITTED),
    )
)


class AddressForbidden(OSError):
    """A callback must not connect to this address.

    The text is always the same: aiohttp would merge several different texts into an ordinary OSError.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is not allowed for callbacks")


@functools.cache
def policy_for(this_machine: bool) -> Policy:
    """Returns the rules for addresses.

    Args:
        this_machine: Also allow loopback addresses and plain HTTP, but no other private address and no cloud metadata.
    """
    return Policy(
        allowed_schemes=frozenset({"http", "https"} if this_machine else {"https"}),
        denied_networks=_ADDRESSES,
        allowed_networks=tuple(ip_network(network) for network in _LOOPBACK) if this_machine else (),
        allowed_ports=frozenset(range(1, 65536)),  # check_callback checks the ports, with a message that names them
        max_url_length=MAX_URL,
    )


def check_callback(url: str, rules: CallbackRules) -> None:
    """Checks a callback URL without looking its host up.

    Raises:
        CallbackNotAcceptable: The URL is not allowed. The message never repeats the URL, which may contain secrets.
    """
    if len(url) > MAX_URL:
        raise CallbackNotAcceptable(f"a callback URL must not be longer than {MAX_URL} characters")
    if "#" in url:
        raise CallbackNotAcceptable("a callback URL must not have a fragment (#)")
    if not _URL.fullmatch(url):
        raise CallbackNotAcceptable(
            "a callback URL may contain only the ASCII characters of RFC 3986; percent-encode all others, and write an"
            " international host name in punycode"
        )
    split, port = _split(url)
    host = _check_authority(split, rules)
    if not rules.this_machine and port not in rules.ports:
        raise CallbackNotAcceptable(f"a callback URL must use port {_listed(rules.ports)}")
    try:
        policy_for(rules.this_machine).check_url(url)
    except BlockedURLError as refused:
        raise CallbackNotAcceptable(f"the callback's address is not allowed: {refused.reason}") from None
    if (address := _written_address(host)) and _is_ours(address, port, rules):
        raise CallbackNotAcceptable("the callback's address belongs to this system")


def _split(url: str) -> tuple[SplitResult, int]:
    """Returns the URL's parts, and its port or the default port of its scheme."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise CallbackNotAcceptable("the callback is not a valid URL, or its port is not valid") from None
    if port == 0:
        raise CallbackNotAcceptable("port 0 is not a port")
    return split, port or (443 if split.scheme == "https" else 80)


def _check_authority(split: SplitResult, rules: CallbackRules) -> str:
    """Checks scheme, credentials and host. Returns the host."""
    if split.scheme != "https" and not (rules.this_machine and split.scheme == "http"):
        also = " or http://" if rules.this_machine else ""
        raise CallbackNotAcceptable(f"a callback URL must begin with https://{also}")
    if "@" in split.netloc:
        raise CallbackNotAcceptable("a callback URL must not contain a user name or password")
    host = split.hostname
    if not host:
        raise CallbackNotAcceptable("a callback URL must be absolute, with a host")
    if "%" in host:
        raise CallbackNotAcceptable("a callback's host must not contain % signs")
    if ":" not in host:
        _check_name(host.removesuffix("."), rules)
    return host


def _check_name(host: str, rules: CallbackRules) -> None:
    if _ENCODED_ADDRESS.fullmatch(host) and not _DOTTED_QUAD.fullmatch(host):
        raise CallbackNotAcceptable("a callback's host must be a name, or an address in its usual spelling")
    if not rules.this_machine and ("." not in host or host.endswith(".localhost")):
        raise CallbackNotAcceptable("a callback's host must be a full, public domain name")


def _written_address(host: str) -> IPv4Address | IPv6Address | None:
    """Returns the address that a host denotes without a look-up, or None for a name."""
    host = host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None


def _listed(ports: frozenset[int]) -> str:
    return " or ".join(str(port) for port in sorted(ports))


def _is_ours(address: IPv4Address | IPv6Address, port: int, rules: CallbackRules) -> bool:
    """Returns whether the address and port belong to this system.

    Where `rules.this_machine` allows loopback, only our own ports count; otherwise every port of this machine does.
    """
    return (port in rules.own_ports or not rules.this_machine) and is_this_machine(address)


def is_this_machine(address: IPv4Address | IPv6Address) -> bool:
    """Returns whether an address belongs to this machine, by asking the kernel for the route to it.

    The kernel uses an address of this machine as the source address of packets to itself. Nothing is sent. An address
    that a router translates to this machine (NAT) is not recognised.
    """
    address = unmapped(address)
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:  # no route, or the family is not supported: a connection would fail too
        return False


def _check_target(target: tuple[Any, ...], rules: CallbackRules) -> None:
    """Raises AddressForbidden for a target, in the form that a socket's `connect` takes, that is not allowed."""
    try:
        address = ip_address(target[0])
        policy_for(rules.this_machine).check_address(address)
    except (BlockedAddressError, ValueError):
        raise AddressForbidden from None
    if _is_ours(address, target[1], rules) or not (rules.this_machine or target[1] in rules.ports):
        raise AddressForbidden


class GuardedSocket(socket.socket):
    """A socket that connects only to allowed addresses, however its target was looked up."""

    rules: CallbackRules

    def connect(self, address: Any) -> None:  # noqa: ANN401  the signature of socket.socket
        """Connects, unless the address is forbidden. Raises AddressForbidden."""
        _check_target(address, self.rules)
        super().connect(address)


def open_socket(
    address_info: tuple[int, int, int, str, tuple[Any, ...]],  # from getaddrinfo; Any, because v4 and v6 differ
    *,
    rules: CallbackRules,
) -> socket.socket:
    """Creates a guarded socket; a socket factory for aiohttp.

    Raises:
        AddressForbidden: The address is not allowed. No socket was created.
    """
    family, kind, protocol, _, target = address_info
    _check_target(target, rules)
    guarded = GuardedSocket(family, kind, protocol)
    guarded.rules = rules
    return guarded
