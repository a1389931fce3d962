"""Limits how many failed authentications a source may have in a minute. Requests with a valid key are never refused.

So a guesser behind the same address as a customer (a shared NAT, a proxy) does not lock the customer out. A key has 256
random bits: this limit reduces noise, not the chance of a guess.
"""

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, IPv6Network

MAX_FAILURES = 20
WINDOW_SECONDS = 60.0
# About 2 MB. The security log, not this limit, deals with attackers that have more addresses.
MAX_SOURCES = 10_000


class FailureLimit:
    """Counts failures by source, in windows that begin with a source's first failure."""

    def __init__(
        self, *, limit: int = MAX_FAILURES, window: float = WINDOW_SECONDS, max_sources: int = MAX_SOURCES
    ) -> None:
        self._limit = limit
        self._window = window
        self._max_sources = max_sources
        # By source: the end of its window and its failures since then. The oldest window comes first.
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, source: IPv4Address | IPv6Address, now: float) -> bool:
        """Counts one more failure.

        Args:
            source: Where it came from.
            now: Monotonic seconds.

        Returns:
            Whether the source is still within its limit.
        """
        name = _network_of(source)
        ends, failures = self._failures.get(name, (0.0, 0))
        if now >= ends:
            self._failures.pop(name, None)
            ends, failures = now + self._window, 0
        self._failures[name] = (ends, failures + 1)
        while len(self._failures) > self._max_sources:
            self._failures.popitem(last=False)
        return failures < self._limit

    def __len__(self) -> int:
        return len(self._failures)


def _network_of(source: IPv4Address | IPv6Address) -> str:
    """An IPv6 customer has a whole /64 and can change addresses within it at will."""
    return str(source if source.version == 4 else IPv6Network((source, 64), strict=False))
