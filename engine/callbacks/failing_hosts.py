"""Keeps the log short while receivers fail: one line an hour for each host, in place of one for each attempt."""

from dataclasses import dataclass

import structlog

from engine.domain.times import HOUR_MS, EpochMs

log = structlog.get_logger(__name__)

# A host that is forgotten here gets a line of its own with its next failure, no more.
MAX_HOSTS = 10_000


@dataclass(slots=True)
class _Failing:
    since: EpochMs
    logged_at: EpochMs
    failures: int = 0


class FailingHosts:
    """Counts the failed attempts of each host since its last success."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Failing] = {}

    def failed(self, host: str, now: EpochMs, *, outcome: str, event_id: str) -> None:
        """Counts a failed attempt, and logs it if it is the host's first, or the first for an hour.

        Args:
            host: The host without the URL's path, which may contain a number.
            now: When it failed.
            outcome: Why, in words.
            event_id: The callback, with which `callbacks show` shows the rest.
        """
        failing = self._hosts.get(host)
        if failing is None:
            if len(self._hosts) >= MAX_HOSTS:
                del self._hosts[next(iter(self._hosts))]
            failing = self._hosts[host] = _Failing(now, now)
        failing.failures += 1
        # A clock that was set back must not keep a host silent for longer.
        if failing.failures == 1 or not 0 <= now - failing.logged_at < HOUR_MS:
            failing.logged_at = now
            log.warning(
                "callback_host_failing",
                host=host,
                outcome=outcome,
                event_id=event_id,
                failures=failing.failures,
                since_ms=max(0, now - failing.since),
            )

    def succeeded(self, host: str, now: EpochMs) -> None:
        """Ends a host's failures, and logs how many there were."""
        failing = self._hosts.pop(host, None)
        if failing is not None:
            log.info("callback_host_back", host=host, failures=failing.failures, since_ms=max(0, now - failing.since))
