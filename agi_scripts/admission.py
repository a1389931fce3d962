"""Those who connect and have not shown yet who they are: who may, how many at once, and what is logged of them.

An address that is not listed is turned away at accept. Of the others so many may be between their connection and
their proof; when there are more, the one that has waited longest goes, of the address that has most of them. Asterisk
sends all it has to say at once, so those that wait are not Asterisks, and they only displace each other.
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
ADDRESSES_REMEMBERED = 1024
SERVICE = "AGI"
# Names of Asterisk's own security events.
UNKNOWN_ADDRESS = "FailedACL"
UNKNOWN_TOKEN = "InvalidPassword"  # noqa: S105  a name of an event


class Refused(Protocol):
    """Is told of a peer that was turned away: which service it asked, what was wrong, its address."""

    def __call__(self, service: E164, event: str, address: str) -> None: ...


def log_refusal(service: E164, event: str, address: str) -> None:
    log.warning("agi_refused_peer", service=service, kind=event, address=address)


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    strangers: int = MAX_PENDING
    lines_per_second: int = LINES_PER_SECOND


class Admission:
    """The connections of one listener that have not proven anything yet."""

    def __init__(self, peers: Collection[Network], refused: Refused, limits: AdmissionLimits) -> None:
        self._refused = refused
        self._limits = limits
        # Addresses come again and again: looking at one costs as much as reading all that its peer says.
        self._is_peer = lru_cache(ADDRESSES_REMEMBERED)(partial(_is_one_of, tuple(peers)))
        # In the order in which they came.
        self._waiting: dict[AgiProtocol, None] = {}
        self._last_gone: asyncio.Future[None] | None = None
        self._second = 0
        self._lines = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, wire: AgiProtocol) -> bool:
        """Whether it may."""
        if not self._is_peer(wire.address):
            self.refuse(UNKNOWN_ADDRESS, wire.address)
            return False
        self._waiting[wire] = None
        if len(self._waiting) > self._limits.strangers:
            [(busiest, _)] = Counter(each.address for each in self._waiting).most_common(1)
            longest = next(each for each in self._waiting if each.address == busiest)
            del self._waiting[longest]
            longest.abort()
        return True

    def leave(self, wire: AgiProtocol) -> None:
        """It has proven who it is, or is gone."""
        self._waiting.pop(wire, None)
        if self._last_gone is not None and not self._waiting and not self._last_gone.done():
            self._last_gone.set_result(None)

    async def until_gone(self, seconds: float) -> None:
        """Each speaks, or is out of time; whoever is left after `seconds` is cut off."""
        if self._waiting:
            self._last_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._last_gone], timeout=seconds)
        for each in list(self._waiting):
            log.warning("agi_cut_off", script="-")
            each.abort()

    def refuse(self, event: str, address: str) -> None:
        if self._may_log():
            self._refused(E164(SERVICE), event, address)

    def complain(self, event: str, **facts: Any) -> None:  # noqa: ANN401  as structlog takes them
        """Log a warning, unless there were too many of late: whoever can connect must not fill the disk."""
        if self._may_log():
            log.warning(event, **facts)

    def _may_log(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            left_out = self._lines - self._limits.lines_per_second
            if left_out > 0:
                log.warning("agi_more_strangers", not_logged=left_out)
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= self._limits.lines_per_second


def _is_one_of(networks: Collection[Network], text: str) -> bool:
    try:
        address = plain_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
