"""Figures of the database for a scrape, kept for a while, so that scrapes cannot keep the database busy."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from engine.asterisk.silent_asterisks import silent_since
from engine.domain.times import EpochMs
from engine.runtime.clock import Clock
from engine.storage.errors import StorageError
from engine.storage.gauges import BookingCounts, GaugeReads, LiveSums, SilentSums

# What changes with every call, and is found in small indexes.
LIVE_SECONDS = 2.0
# Counts of the whole pool and of all bookings: 0.7 s for a million numbers.
COUNTS_SECONDS = 60.0

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """What the database says. None: it could not be read.

    Attributes:
        live: Calls that are up.
        silent: Those of them in Asterisks that have no engine.
        pool: Numbers by country and state.
        bookings: Bookings that are not gone.
        oldest_due_ms: For how long the oldest callback that waits has been due; 0 if none is due. None: not known.
    """

    live: LiveSums | None
    silent: SilentSums | None
    pool: Mapping[tuple[str | None, str], int] | None
    bookings: BookingCounts | None
    oldest_due_ms: int | None


class _Kept(Generic[T]):
    """A value that is read again once it is old. A value that cannot be read is not tried again sooner."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._until = 0.0
        self._value: T | None = None
        self.failures = 0

    async def value(self) -> T | None:
        if time.monotonic() < self._until:
            return self._value
        try:
            self._value = await self._read()
        except StorageError as error:
            self.failures += 1
            self._value = None
            log.warning("metrics_not_read", error=type(error).__name__)
        self._until = time.monotonic() + self._seconds
        return self._value


class DatabaseReader:
    """Reads the figures when asked, but not more often than their age allows.

    Args:
        reads: Runs the queries; the caller closes it.
        clock: The wall clock, by which bookings end and callbacks fall due.
    """

    def __init__(self, reads: GaugeReads, clock: Clock) -> None:
        self._clock = clock
        self._live = _Kept(reads.live, LIVE_SECONDS)
        self._silent = _Kept(lambda: reads.silent(silent_since(clock.now())), LIVE_SECONDS)
        self._pool = _Kept(reads.pool, COUNTS_SECONDS)
        self._bookings = _Kept(lambda: reads.bookings(clock.now()), COUNTS_SECONDS)
        # In a tuple, because None means that no callback waits.
        self._oldest = _Kept(lambda: _alone(reads.oldest_due_at()), LIVE_SECONDS)
        self._one_at_a_time = asyncio.Lock()

    @property
    def failures(self) -> int:
        """How many readings have failed."""
        return sum(each.failures for each in (self._live, self._silent, self._pool, self._bookings, self._oldest))

    async def read(self) -> DatabaseFigures:
        """Returns the figures. Those that cannot be read are None."""
        async with self._one_at_a_time:
            oldest = await self._oldest.value()
            return DatabaseFigures(
                await self._live.value(),
                await self._silent.value(),
                await self._pool.value(),
                await self._bookings.value(),
                None if oldest is None else self._due_for(*oldest),
            )

    def _due_for(self, due_at: EpochMs | None) -> int:
        return 0 if due_at is None else max(0, self._clock.now() - due_at)


async def _alone(value: Awaitable[T]) -> tuple[T]:
    return (await value,)
