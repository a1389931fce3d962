"""Finds what the operator should look at, and logs it when it begins and when it is over."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import structlog

from engine.asterisk.silent_asterisks import silent_since
from engine.bookings.pool_forecast import pool_forecasts
from engine.domain.dispositions import Disposition
from engine.domain.operator_warnings import (
    OperatorWarning,
    PoolLeft,
    SilentAsterisk,
    TriedEndpoint,
    WarningKind,
    asterisk_warnings,
    call_warnings,
    callback_warnings,
    pool_warnings,
)
from engine.domain.times import DAY_MS, HOUR_MS, EpochMs, Span
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.operator_reads import OperatorReads

log = structlog.get_logger(__name__)

ROUND_SECONDS = 300.0
# Preceding days with which the last hour's calls are compared: the same hour of each, so that nights are no fault.
USUAL_DAYS = 7
# Calls of an hour that are counted, the newest, so that the cost does not grow with the traffic.
COUNTED_CALLS = 5_000
TRIED_WITHIN_MS = DAY_MS
COUNTED_ENDPOINTS = 5_000


async def find_pool(reads: OperatorReads, now: EpochMs, quarantine_ms: int) -> list[OperatorWarning]:
    """Returns the countries whose numbers run out. Raises StorageError."""
    forecasts = await pool_forecasts(reads, now, quarantine_ms)
    return pool_warnings({country: PoolLeft(each.free, each.days_left) for country, each in forecasts.items()})


async def find_callbacks(reads: OperatorReads, now: EpochMs, _: int) -> list[OperatorWarning]:
    """Returns the hosts that take no callbacks of customers' own accounts. Raises StorageError."""
    rows = await reads.endpoints_tried(EpochMs(now - TRIED_WITHIN_MS), COUNTED_ENDPOINTS)
    return callback_warnings(
        TriedEndpoint(_host_of(url), last_attempt_at, failing_since) for url, last_attempt_at, failing_since in rows
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # an earlier version let such a URL in
        return ""


async def find_calls(reads: OperatorReads, now: EpochMs, _: int) -> list[OperatorWarning]:
    """Returns whether calls fail more than usual. Raises StorageError."""
    usual = Counter[Disposition]()
    for days in range(1, USUAL_DAYS + 1):
        usual.update(await _ended(reads, EpochMs(now - days * DAY_MS)))
    return call_warnings(await _ended(reads, now), usual)


async def _ended(reads: OperatorReads, until: EpochMs) -> Mapping[Disposition, int]:
    return await reads.dispositions(Span(EpochMs(until - HOUR_MS), until), COUNTED_CALLS)


async def find_asterisks(reads: OperatorReads, now: EpochMs, _: int) -> list[OperatorWarning]:
    """Returns the Asterisks that have calls, but no engine. Raises StorageError."""
    since = silent_since(now)
    return asterisk_warnings(
        SilentAsterisk(each.asterisk, each.host or None, each.beaten_at or None, each.calls, each.seconds)
        for each in await reads.asterisks()
        if each.calls and each.is_silent(since)
    )


FINDERS: Mapping[WarningKind, Callable[[OperatorReads, EpochMs, int], Awaitable[list[OperatorWarning]]]] = {
    WarningKind.POOL: find_pool,
    WarningKind.CALLBACKS: find_callbacks,
    WarningKind.CALLS: find_calls,
    WarningKind.ASTERISKS: find_asterisks,
}


class WarningWatch:
    """Looks every five minutes, and logs each warning once when it begins and once when it is over."""

    def __init__(self, reads: OperatorReads, clock: Clock, quarantine_ms: int) -> None:
        self._reads = reads
        self._clock = clock
        self._quarantine_ms = quarantine_ms
        self._known: dict[WarningKind, set[str]] = {kind: set() for kind in FINDERS}

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until `stop` is set."""
        while not stop.is_set():
            await self.look()
            await wait_for(stop, ROUND_SECONDS)

    async def look(self) -> None:
        """Looks once. What cannot be read stays as it was."""
        for kind, find in FINDERS.items():
            try:
                found = await find(self._reads, self._clock.now(), self._quarantine_ms)
            except StorageError as error:
                log.warning("operator_warnings_not_read", kind=kind.value, error=type(error).__name__)
                continue
            self._log(kind, found)

    def _log(self, kind: WarningKind, found: list[OperatorWarning]) -> None:
        known = self._known[kind]
        for each in found:
            if each.subject not in known:
                log.warning("operator_warning", kind=kind.value, subject=each.subject, what=each.what, fix=each.fix)
        for subject in sorted(known - {each.subject for each in found}):
            log.info("operator_warning_over", kind=kind.value, subject=subject)
        self._known[kind] = {each.subject for each in found}
