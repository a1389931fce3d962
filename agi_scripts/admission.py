"""Admission: who may connect, how many connections may be pending, and how much is logged about refused peers.

A connection is pending from its accept until its request is authenticated. Connections from addresses that are not
listed are refused at accept. The number of pending connections is limited: when one more arrives, the address that has
the most of them loses its oldest one. Asterisk sends its whole request at once, so connections that stay pending are
not Asterisks, and they only displace each other.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol, TypeAlias

import structlog

from agi_scripts.protocol import AgiProtocol
from engine.domain.numbers import E164
from engine.runtime.addresses import plain_address

log = structlog.get_logger(__name__)

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_PENDING = 256
LINES_PER_SECOND = 10
CACHED_ADDRESSES = 1024
SERVICE = "AGI"
# Event names of Asterisk's own security log.
UNKNOWN_ADDRESS = "FailedACL"
NOT_AUTHENTICATED = "InvalidPassword"


class ReportRefusal(Protocol):
    """Reports a refused peer, for example to the security log that fail2ban reads."""

    def __call__(self, service: E164, event: str, address: str) -> None:
        """Reports one refusal.

        Args:
            service: The service that refused the peer.
            event: What was wrong: a name of Asterisk's security events.
            address: The peer's IP address.
        """


def log_refusal(service: E164, event: str, address: str) -> None:
    """Logs a refused peer as a warning."""
    log.warning("agi_peer_refused", service=service, kind=event, address=address)


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Limits of one listener.

    Attributes:
        pending: Connections that have not authenticated a request yet.
        lines_per_second: Warnings about refused and failed connections.
    """

    pending: int = MAX_PENDING
    lines_per_second: int = LINES_PER_SECOND


class Admission:
    """The pending connections of one listener."""

    def __init__(self, peers: Collection[Network], refused: ReportRefusal, limits: AdmissionLimits) -> None:
        self._refused = refused
        self._limits = limits
        # Cached, because the same few addresses connect, and parsing one costs as much as reading a whole request.
        self._is_peer = lru_cache(CACHED_ADDRESSES)(partial(_is_in_any, tuple(peers)))
        # A dictionary keeps the order of arrival.
        self._pending: dict[AgiProtocol, None] = {}
        self._all_left: asyncio.Future[None] | None = None
        self._second = 0
        self._lines = 0

    def __len__(self) -> int:
        return len(self._pending)

    def enter(self, connection: AgiProtocol) -> bool:
        """Admits a new connection as pending, or refuses it.

        Returns:
            Whether the connection is admitted. If not, the caller closes it.
        """
        if not self._is_peer(connection.address):
            self.refuse(UNKNOWN_ADDRESS, connection.address)
            return False
        self._pending[connection] = None
        if len(self._pending) > self._limits.pending:
            self._displace_one()
        return True

    def leave(self, connection: AgiProtocol) -> None:
        """Forgets a connection that is authenticated or closed."""
        self._pending.pop(connection, None)
        if self._all_left is not None and not self._pending and not self._all_left.done():
            self._all_left.set_result(None)

    async def drain(self, seconds: float) -> None:
        """Waits until no connection is pending, and aborts those that remain after `seconds`."""
        if self._pending:
            self._all_left = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_left], timeout=seconds)
        for connection in list(self._pending):
            log.warning("agi_cut_off", script="-")
            connection.abort()

    def refuse(self, event: str, address: str) -> None:
        """Reports a refused peer, within the limit on log lines."""
        if self._may_log():
            self._refused(E164(SERVICE), event, address)

    def warn(self, event: str, **facts: Any) -> None:  # noqa: ANN401  structlog accepts values of any type
        """Logs a warning, within the limit on log lines: anyone who can connect must not fill the disk."""
        if self._may_log():
            log.warning(event, **facts)

    def _displace_one(self) -> None:
        [(busiest, _)] = Counter(each.address for each in self._pending).most_common(1)
        oldest = next(each for each in self._pending if each.address == busiest)
        del self._pending[oldest]
        oldest.abort()

    def _may_log(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            suppressed = self._lines - self._limits.lines_per_second
            if suppressed > 0:
                log.warning("agi_warnings_suppressed", suppressed=suppressed)
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= self._limits.lines_per_second


def _is_in_any(networks: Collection[Network], text: str) -> bool:
    try:
        address = plain_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
