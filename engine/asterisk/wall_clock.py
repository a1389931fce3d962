"""Wall clocks that are set: Asterisk keeps its limits by its own, bookings end by ours."""

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

LOOK_SECONDS = 1.0
# Less is a clock being steered.
CLOCK_STEP_MS = 500


async def asterisk_now(link: AmiLink) -> EpochMs | None:
    """Asterisk's wall clock, in epoch milliseconds; None when it does not say. Raises AmiError."""
    said = (await link.action("Ping")).timestamp
    try:
        return EpochMs(round(float(said) * 1000))
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a wall clock is ahead of our ticks, in milliseconds: between the two, as it was read over a wire."""

    least: int
    most: int

    def was_set_since(self, before: "ClockOffset") -> bool:
        return self.least - before.most > CLOCK_STEP_MS or before.least - self.most > CLOCK_STEP_MS

    @property
    def width(self) -> int:
        return self.most - self.least


class ClockWatch:
    """Has every limit told to Asterisk again when its wall clock was set, or ours."""

    def __init__(self, link: AmiLink, clock: Clock, keeper: LimitKeeper) -> None:
        self._link = link
        self._clock = clock
        self._keeper = keeper
        self._ours = self._read_ours()
        self._asterisks: ClockOffset | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            try:
                await self._look()
            except StorageError as error:
                log.warning("limits_wait_for_storage", reason=str(error))
            await wait_for(stop, LOOK_SECONDS)

    async def _look(self) -> None:
        ours, asterisks = self._read_ours(), await self._read_asterisks()
        known = self._asterisks
        if ours.was_set_since(self._ours) or (known and asterisks and asterisks.was_set_since(known)):
            log.warning("wall_clock_was_set")
            await self._keeper.resync()
            self._ours, known = ours, None
        # The one that is known best is kept: the sum of many small steps is a step too.
        if asterisks and (known is None or asterisks.width < known.width):
            known = asterisks
        self._asterisks = known

    def _read_ours(self) -> ClockOffset:
        exactly = self._clock.timestamp().wall_ahead_ms
        return ClockOffset(exactly, exactly)

    async def _read_asterisks(self) -> ClockOffset | None:
        """None: it cannot be reached, and will be told every limit when it can."""
        if not self._link.is_up:
            return None
        before = self._clock.timestamp().boot_ms
        try:
            now = await asterisk_now(self._link)
        except AmiError:
            return None
        return None if now is None else ClockOffset(now - self._clock.timestamp().boot_ms, now - before)
