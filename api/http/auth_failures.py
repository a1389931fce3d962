"""How many failed authentications one source may have in a minute. Keys that open their account are never counted.

Whoever guesses from behind the same address as a customer (a shared NAT, a proxy) does not lock the customer out: only
failures are refused. A key has 256 random bits; this limits noise, not the chance of a guess.
"""

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, IPv6Network

MAX_FAILURES = 20
WINDOW_SECONDS = 60.0
# About 2 MB. Who has more addresses than this is met by the security log, not by this.
MAX_SOURCES = 10_000


class FailureLimit:
    def __init__(
        self, *, at_most: int = MAX_FAILURES, window: float = WINDOW_SECONDS, sources: int = MAX_SOURCES
    ) -> None:
        self._at_most = at_most
        self._window = window
        self._most_sources = sources
        # By source: when its window ends, and its failures since then. The window that began first stands first.
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, source: IPv4Address | IPv6Address, now: float) -> bool:
        """One more failure, at `now` (monotonic seconds). False: there were too many in this minute."""
        name = _network_of(source)
        ends, failures = self._failures.get(name, (0.0, 0))
        if now >= ends:
            self._failures.pop(name, None)
            ends, failures = now + self._window, 0
        self._failures[name] = (ends, failures + 1)
        while len(self._failures) > self._most_sources:
            self._failures.popitem(last=False)
        return failures < self._at_most

    def __len__(self) -> int:
        return len(self._failures)


def _network_of(source: IPv4Address | IPv6Address) -> str:
    """A customer of an IPv6 provider has a /64 at least, and as many addresses as it likes."""
    return str(source if source.version == 4 else IPv6Network((source, 64), strict=False))
