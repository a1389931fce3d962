"""Detects that a wall clock was set: Asterisk keeps its limits by its own, and bookings end by ours."""

import asyncio
from dataclasses import dataclass

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError
from engine.asterisk.limit_keeper import LimitKeeper
from engine.domain.times import EpochMs
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0
# A smaller difference comes from NTP, which steers a clock without setting it.
CLOCK_STEP_MS = 500


async def asterisk_now(link: AmiLink) -> EpochMs | None:
    """Asks Asterisk for its wall clock.

    Returns:
        Epoch milliseconds; None if the answer has no usable time.

    Raises:
        AmiError: Asterisk cannot be reached, or refuses.
    """
    timestamp = (await link.action("Ping")).timestamp
    try:
        return EpochMs(round(float(timestamp) * 1000))
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a wall clock is ahead of our boot clock, in milliseconds.

    A clock that is read over a network is known within a range only.

    Attributes:
        least: The lower bound.
        most: The upper bound.
    """

    least: int
    most: int

    def was_set_since(self, before: "ClockOffset") -> bool:
        """Returns whether the clock must have been set since `before`, even at the nearest ends of both ranges."""
        return self.least - before.most > CLOCK_STEP_MS or before.least - self.most > CLOCK_STEP_MS

    @property
    def width(self) -> int:
        """The uncertainty, in milliseconds."""
        return self.most - self.least


class ClockWatch:
    """Has every limit set again in Asterisk when its wall clock or ours was set."""

    def __init__(self, link: AmiLink, clock: Clock, keeper: LimitKeeper) -> None:
        self._link = link
        self._clock = clock
        self._keeper = keeper
        self._ours = self._read_ours()
        self._asterisks: ClockOffset | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Checks both clocks every second until `stop` is set."""
        while not stop.is_set():
            try:
                await self._check()
            except StorageError as error:
                log.warning("limits_postponed", reason=str(error))
            await wait_for(stop, CHECK_SECONDS)

    async def _check(self) -> None:
        ours, asterisks = self._read_ours(), await self._read_asterisks()
        known = self._asterisks
        if ours.was_set_since(self._ours) or (known and asterisks and asterisks.was_set_since(known)):
            log.warning("wall_clock_was_set")
            await self._keeper.resync()
            self._ours, known = ours, None
        # The most precise reading stays the reference, not the latest: many small steps add up to a large one.
        if asterisks and (known is None or asterisks.width < known.width):
            known = asterisks
        self._asterisks = known

    def _read_ours(self) -> ClockOffset:
        exact = self._clock.timestamp().wall_ahead_ms
        return ClockOffset(exact, exact)

    async def _read_asterisks(self) -> ClockOffset | None:
        """Returns None if Asterisk cannot be reached; when it can be again, the reconciler has every limit set."""
        if not self._link.is_up:
            return None
        before = self._clock.timestamp().boot_ms
        try:
            now = await asterisk_now(self._link)
        except AmiError:
            return None
        return None if now is None else ClockOffset(now - self._clock.timestamp().boot_ms, now - before)
