"""Where callbacks may go. Customers choose the URLs, so each of them may point at our own network.

Two checks, and only the second one is a wall:

- `check_callback` at booking time reads the URL, looks nothing up, and tells the customer early what is wrong;
- `open_socket` makes every socket of a delivery, after the name was resolved, and that socket checks once more what
  the kernel is about to be given. It holds for names that resolve to a forbidden address, for names that change their
  mind (rebinding), and for every spelling of an address.

A resolver that checks was rejected: aiohttp asks no resolver about URLs whose host is an address already.
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

# The characters of RFC 3986 without "#". Parsers disagree on the others (backslash, blank, tab, letters beyond
# ASCII), and what we check must be what we connect to and what the receiver gets.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
# getaddrinfo takes `0x7f000001`, `0177.0.0.1`, `2130706433` and `127.1` for addresses; no name ends like that.
_ENCODED_ADDRESS = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_DOTTED_QUAD = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_LOOPBACK = ("127.0.0.0/8", "::1/128")

# The table of ssrfguard is a list of what is forbidden, and lets the rest through: `::ffff:0:7f00:1`, say. Of IPv6
# only what is handed out as global unicast is acceptable; more specific entries of the table still win.
_ADDRESSES = AddressTable(
    (
        *DEFAULT_DENIED.blocks,
        AddressBlock(ip_network("::/0"), "Not global unicast", "RFC4291", Reach.DENIED),
        AddressBlock(ip_network("2000::/3"), "Global unicast", "RFC4291", Reach.PERMITTED),
    )
)


class AddressForbidden(OSError):
    """No socket to this address. One text for all, or aiohttp would join several into an ordinary OSError."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is not allowed for callbacks")


@functools.cache
def policy_for(this_machine: bool) -> Policy:
    """`this_machine` opens loopback and plain HTTP, and nothing else: not 10/8, not cloud metadata."""
    return Policy(
        allowed_schemes=frozenset({"http", "https"} if this_machine else {"https"}),
        denied_networks=_ADDRESSES,
        allowed_networks=tuple(ip_network(network) for network in _LOOPBACK) if this_machine else (),
        allowed_ports=frozenset(range(1, 65536)),  # ours are counted below, with a reason that names them
        max_url_length=MAX_URL,
    )


def check_callback(url: str, rules: CallbackRules) -> None:
    """Raise CallbackNotAcceptable, with a reason that repeats nothing of the URL's secrets, unless it will do."""
    if len(url) > MAX_URL:
        raise CallbackNotAcceptable(f"a callback URL has at most {MAX_URL} characters")
    if "#" in url:
        raise CallbackNotAcceptable("a callback URL has no fragment (#)")
    if not _URL.fullmatch(url):
        raise CallbackNotAcceptable(
            "a callback URL consists of the ASCII characters of RFC 3986; write others percent-encoded, in the"
            " host's name as punycode"
        )
    split, port = _split(url)
    host = _check_authority(split, rules)
    if not rules.this_machine and port not in rules.ports:
        raise CallbackNotAcceptable(f"a callback goes to port {_listed(rules.ports)}")
    try:
        policy_for(rules.this_machine).check_url(url)
    except BlockedURLError as refused:
        raise CallbackNotAcceptable(f"the callback's address is not allowed: {refused.reason}") from None
    if (address := _written_address(host)) and _is_ours(address, port, rules):
        raise CallbackNotAcceptable("the callback's address is this system's own")


def _split(url: str) -> tuple[SplitResult, int]:
    """The URL's parts and its port, named or not."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise CallbackNotAcceptable("the callback is not a URL, or its port is none") from None
    if port == 0:
        raise CallbackNotAcceptable("port 0 is not a port")
    return split, port or (443 if split.scheme == "https" else 80)


def _check_authority(split: SplitResult, rules: CallbackRules) -> str:
    """Returns the host."""
    if split.scheme != "https" and not (rules.this_machine and split.scheme == "http"):
        also = " or http://" if rules.this_machine else ""
        raise CallbackNotAcceptable(f"a callback URL begins with https://{also}")
    if "@" in split.netloc:
        raise CallbackNotAcceptable("a callback URL carries no user name or password")
    host = split.hostname
    if not host:
        raise CallbackNotAcceptable("a callback URL is absolute and names a host")
    if "%" in host:
        raise CallbackNotAcceptable("a callback's host is written without % signs")
    if ":" not in host:
        _check_name(host.removesuffix("."), rules)
    return host


def _check_name(host: str, rules: CallbackRules) -> None:
    if _ENCODED_ADDRESS.fullmatch(host) and not _DOTTED_QUAD.fullmatch(host):
        raise CallbackNotAcceptable("a callback's host is a name, or an address in its usual spelling")
    if not rules.this_machine and ("." not in host or host.endswith(".localhost")):
        raise CallbackNotAcceptable("a callback's host is a full name that the internet knows")


def _written_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host names without being looked up."""
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
    """Whether it is this machine, as far as that is closed: at most our own ports, where `this_machine` is open."""
    return (port in rules.own_ports or not rules.this_machine) and is_this_machine(address)


def is_this_machine(address: IPv4Address | IPv6Address) -> bool:
    """The kernel knows: what goes to an address of this machine leaves from that address. Nothing is sent.

    An address that only a router translates to this machine is not known here.
    """
    address = unmapped(address)
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:  # no route, or no such family here: a connection will not come to be either
        return False


def _refuse(target: tuple[Any, ...], rules: CallbackRules) -> None:
    """`target`: as a socket's `connect` takes it. Raises AddressForbidden."""
    try:
        address = ip_address(target[0])
        policy_for(rules.this_machine).check_address(address)
    except (BlockedAddressError, ValueError):
        raise AddressForbidden from None
    if _is_ours(address, target[1], rules) or not (rules.this_machine or target[1] in rules.ports):
        raise AddressForbidden


class GuardedSocket(socket.socket):
    """Connects only where the rules let it, whoever looked the name up, and however often."""

    rules: CallbackRules

    def connect(self, address: Any) -> None:  # noqa: ANN401  as socket.socket has it
        _refuse(address, self.rules)
        super().connect(address)


def open_socket(
    address_info: tuple[int, int, int, str, tuple[Any, ...]],  # what getaddrinfo gives; Any: v4 and v6 differ
    *,
    rules: CallbackRules,
) -> socket.socket:
    """Socket factory for aiohttp. Raises AddressForbidden before a socket is made where none may go."""
    family, kind, protocol, _, target = address_info
    _refuse(target, rules)
    guarded = GuardedSocket(family, kind, protocol)
    guarded.rules = rules
    return guarded
