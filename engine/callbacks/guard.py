"""Where callbacks may go. Customers choose the URLs, so each of them may point at our own network.

Two checks, and only the second one is a wall:

- `check_callback` at booking time reads the URL, looks nothing up, and tells the customer early what is wrong;
- `open_socket` at delivery is asked for every socket, after the name was resolved. It holds for names that resolve
  to a forbidden address, for names that change their mind (rebinding), and for every spelling of an address.

A resolver that checks was rejected: aiohttp asks no resolver about URLs whose host is an address already.
"""

import errno
import functools
import re
import socket
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ssrfguard import DEFAULT_DENIED, AddressTable, BlockedAddressError, BlockedURLError, Policy, Reach
from ssrfguard import Block as AddressBlock

from engine.domain.errors import CallbackNotAcceptable

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
def policy_for(allow_private: bool) -> Policy:
    """`allow_private` opens loopback and plain HTTP, and nothing else: not 10/8, not cloud metadata."""
    return Policy(
        allowed_schemes=frozenset({"http", "https"} if allow_private else {"https"}),
        denied_networks=_ADDRESSES,
        allowed_networks=tuple(ip_network(network) for network in _LOOPBACK) if allow_private else (),
        allowed_ports=frozenset(range(1, 65536)),
        max_url_length=MAX_URL,
    )


def check_callback(url: str, allow_private: bool) -> None:
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
    split = _split(url)
    _check_authority(split, allow_private)
    try:
        policy_for(allow_private).check_url(url)
    except BlockedURLError as refused:
        raise CallbackNotAcceptable(f"the callback's address is not allowed: {refused.reason}") from None


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise CallbackNotAcceptable("the callback is not a URL, or its port is none") from None
    if port == 0:
        raise CallbackNotAcceptable("port 0 is not a port")
    return split


def _check_authority(split: SplitResult, allow_private: bool) -> None:
    if split.scheme != "https" and not (allow_private and split.scheme == "http"):
        raise CallbackNotAcceptable("a callback URL begins with https://")
    if "@" in split.netloc:
        raise CallbackNotAcceptable("a callback URL carries no user name or password")
    host = split.hostname
    if not host:
        raise CallbackNotAcceptable("a callback URL is absolute and names a host")
    if "%" in host:
        raise CallbackNotAcceptable("a callback's host is written without % signs")
    if ":" not in host:
        _check_name(host.removesuffix("."), allow_private)


def _check_name(host: str, allow_private: bool) -> None:
    if _ENCODED_ADDRESS.fullmatch(host) and not _DOTTED_QUAD.fullmatch(host):
        raise CallbackNotAcceptable("a callback's host is a name, or an address in its usual spelling")
    if not allow_private and ("." not in host or host.endswith(".localhost")):
        raise CallbackNotAcceptable("a callback's host is a full name that the internet knows")


def open_socket(
    address_info: tuple[int, int, int, str, tuple[Any, ...]],  # what getaddrinfo gives; Any: v4 and v6 differ
    *,
    allow_private: bool,
) -> socket.socket:
    """Socket factory for aiohttp. Raises AddressForbidden before a socket is made where none may go."""
    family, kind, protocol, _, target = address_info
    try:
        policy_for(allow_private).check_address(ip_address(target[0]))
    except (BlockedAddressError, ValueError):
        raise AddressForbidden from None
    return socket.socket(family, kind, protocol)
