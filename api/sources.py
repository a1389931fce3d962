"""Whom a request comes from: the peer of its connection, or whom a proxy that the operator trusts names."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiohttp import hdrs, web

from engine.security_log import plain_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
NOWHERE = IPv4Address(0)


def source_of(request: web.Request, proxies: Sequence[Network]) -> Address:
    """Of `X-Forwarded-For` only what trusted proxies added counts: it is read from its end, up to the first address
    that is none of theirs. What stands before it, or is no address, anybody can have written.

    NOWHERE: the connection is gone already.
    """
    peer = request.transport.get_extra_info("peername") if request.transport else None
    source = plain_address(peer[0]) if peer else NOWHERE
    named = [each for line in request.headers.getall(hdrs.X_FORWARDED_FOR, []) for each in line.split(",")]
    for each in reversed(named):
        if not any(source in network for network in proxies):
            break
        try:
            source = plain_address(each.strip())
        except ValueError:
            break
    return source
