"""The periodic clean-up: what falls due by time alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

import structlog

from engine.asterisk.keepership import Keepership
from engine.asterisk.reconciler import Reconciler
from engine.bookings.closing import end_bookings_of_closed
from engine.bookings.endings import SWEEP_LIMIT, sweep
from engine.callbacks.notifications import notify_all_due
from engine.calls.end_spool import EndSpool
from engine.calls.reached_callers import note_all_reached
from engine.calls.reconciliation import settle_overdue
from engine.domain.ids import BookingId
from engine.domain.policy import Policy, RetentionPeriods
from engine.metrics.tallies import Tallies
from engine.privacy.retention import delete_expired
from engine.runtime.clock import Clock
from engine.runtime.logs import places_of
from engine.runtime.periodic import wait_for
from engine.sandbox.clock import sweep_sandboxes
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.twilio_proxy.upkeep import sweep_sessions

log = structlog.get_logger(__name__)

# For this long after the engine's start, calls are not settled by time alone, unless Asterisk has listed the calls that
# are up. A call that is not in the list is charged until it was last seen; by time alone, its whole lease.
WAIT_FOR_ASTERISK_MS = 20_000


class Sweeper:
    """Sweeps every `interval` seconds: bookings, numbers, lost calls, notifications, records that are kept no longer.

    Args:
        storage: The database.
        clock: The clocks.
        policy: The operator's rules.
        retention: How long records are kept.
        spool: Where ends of calls stand that are not lost, however long the engine was away.
        reconciler: Knows whether Asterisk has listed the calls that are up.
        hang_up: Ends the calls of these channels.
        renewed: Called with a booking whose live calls may last longer now.
        interval: Seconds between two sweeps.
        keepership: Where several engines work on the database, the keeper of an Asterisk sweeps.
        tallies: Counts the steps that failed.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        policy: Policy,
        retention: RetentionPeriods,
        spool: EndSpool,
        reconciler: Reconciler,
        hang_up: Callable[[Sequence[str]], Awaitable[None]],
        renewed: Callable[[BookingId], None],
        interval: float,
        keepership: Keepership | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._policy = policy
        self._retention = retention
        self._spool = spool
        self._reconciler = reconciler
        self._hang_up = hang_up
        self._renewed = renewed
        self._interval = interval
        self._keepership = keepership or Keepership()
        self._tallies = tallies or Tallies(())
        self._started_ms = clock.timestamp().boot_ms

    async def run(self, stop: asyncio.Event) -> None:
        """Sweeps until `stop` is set."""
        while not stop.is_set():
            try:
                if self._keepership.is_ours:
                    await self.sweep()
            except StorageError as error:
                log.error("sweep_failed", reason=str(error))
            await wait_for(stop, self._interval)

    async def sweep(self) -> None:
        """Sweeps once. If a step fails, the others are still done, and the next sweep tries it again.

        Otherwise one row that a step cannot handle would end the engine at each sweep, or keep all later steps from
        ever being done.

        Raises:
            StorageError: The database failed. The other steps would not get any further.
        """
        storage, now, policy = self._storage, self._clock.now, self._policy
        spool_is_read = await self._try("end_spool", self._spool.take_in)
        # A call moves a session's end. Until then, the session's booking would expire too early.
        await self._try("sessions", sweep_sessions, storage, now(), policy, self._renewed)
        # Before a number can be given away again.
        callers_are_noted = await self._try("former_callers", note_all_reached, storage, now(), policy.pepper)
        # An expired booking's notifications must be posted before the sweep removes the booking.
        await self._try("notifications", notify_all_due, storage, now(), policy)
        await self._try("closed_accounts", storage.run, end_bookings_of_closed, now(), policy)
        await self._try("bookings", self._sweep_bookings, settle=spool_is_read, free_numbers=callers_are_noted)
        await self._try("lost_asterisks", self._settle_calls_of_lost_asterisks)
        await self._try("sandboxes", sweep_sandboxes, storage, now(), policy)
        await self._try("retention", self._delete_expired)

    async def _try(self, step: str, work: Callable[..., Awaitable[object]], *args: object, **kwargs: object) -> bool:
        """Returns whether a step was done. Raises StorageError."""
        try:
            await work(*args, **kwargs)
        except StorageError:
            raise
        except Exception as error:
            self._tallies.failed_sweep_steps += 1
            log.error("sweep_step_failed", step=step, error=type(error).__name__, where=places_of(error))
            return False
        return True

    async def _sweep_bookings(self, *, settle: bool, free_numbers: bool) -> None:
        at = self._clock.timestamp()
        is_time = self._reconciler.has_compared or at.boot_ms - self._started_ms >= WAIT_FOR_ASTERISK_MS
        swept = await self._storage.run(
            sweep,
            at,
            self._policy,
            settle_lost=settle and is_time,
            free_numbers=free_numbers,
            asterisk=self._keepership.keeper.asterisk,
        )
        if swept.bookings_gone or swept.numbers_freed or swept.calls_lost:
            log.info(
                "swept",
                bookings_gone=swept.bookings_gone,
                numbers_freed=swept.numbers_freed,
                calls_lost=swept.calls_lost,
            )
        await self._hang_up(swept.channels)

    async def _settle_calls_of_lost_asterisks(self) -> None:
        for lost in await self._keepership.lost_asterisks():
            settled = await self._storage.run(settle_overdue, self._clock.timestamp(), self._policy, SWEEP_LIMIT, lost)
            if settled:
                log.warning("calls_of_lost_asterisk_settled", asterisk=lost, calls=len(settled))

    async def _delete_expired(self) -> None:
        deleted = await delete_expired(self._storage, self._clock.now(), self._retention)
        if deleted.any:
            log.info("expired_records_deleted", **asdict(deleted))
