"""IP addresses as peers show them."""

from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


def plain_address(text: str) -> Address:
    """Returns the address without its scope, and an IPv4 address that an IPv6 socket reported as IPv4.

    Raises:
        ValueError: `text` is no IP address.
    """
    return unmapped(ip_address(text.partition("%")[0]))


def unmapped(address: Address) -> Address:
    """Returns the IPv4 address inside `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2), or the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
