"""Whom a request comes from: the peer of its connection, or whom a proxy that the operator trusts names."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from engine.runtime.addresses import plain_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
NOWHERE: Address = IPv4Address(0)


def client_ip_of(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> Address:
    """`peer`: the connection's other end, None: it is gone; `forwarded`: the request's X-Forwarded-For headers.

    Of these only what trusted proxies added counts: they are read from their end, up to the first address that is none
    of theirs. What stands before it, or is no address, anybody can have written.
    """
    source = NOWHERE if peer is None else plain_address(peer)
    for named in reversed([each for line in forwarded for each in line.split(",")]):
        if not any(source in network for network in proxies):
            break
        try:
            source = plain_address(named.strip())
        except ValueError:
            break
    return source
