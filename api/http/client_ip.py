"""Finds the client's address: the connection's peer, or the address that a trusted proxy reports. And its scheme."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiohttp import hdrs, web

from engine.runtime.addresses import plain_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
NOWHERE: Address = IPv4Address(0)


def scheme_of(request: web.Request) -> str:
    """Returns `https` or `http`: that of the client's connection, where a proxy reports it.

    A client that forges the header misleads itself only.
    """
    return request.headers.get(hdrs.X_FORWARDED_PROTO, request.scheme)


def client_ip_of(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> Address:
    """Returns the address of the client.

    Only what trusted proxies added to X-Forwarded-For counts. So the headers are read from their end, up to the first
    address that is not a trusted proxy. A client can forge everything before that address.

    Args:
        peer: The address of the connection's peer; None if the connection is closed.
        forwarded: The request's X-Forwarded-For headers.
        proxies: The networks of the trusted proxies.
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
