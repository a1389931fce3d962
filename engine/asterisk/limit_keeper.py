"""Keeps the limits of live calls in Asterisk in step with their leases in the database.

A limit is decided in the database and then set in Asterisk. Between these two moments nothing else may decide on the
same booking: a stale, larger limit that arrives late would let a call overspend. So only one task at a time works on a
booking. Leases shrink in Asterisk first and in the database second, and grow in the opposite order: whatever fails in
between, the lease in the database is at least the limit in Asterisk.

Where several engines work on the database, only the keeper of an Asterisk does that (keepership.py), and asks the other
keepers for the seconds of their calls (errands.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from weakref import WeakValueDictionary

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errands import Elsewhere
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.asterisk.live_limits import LiveLimits, Outcome
from engine.asterisk.ringing_ends import RingingEnds
from engine.bookings.adjustments import Adjustment, adjust_live
from engine.calls.lease_rebalancing import (
    TalkLimit,
    apply_shares,
    bookings_overrun,
    bookings_to_share,
    bookings_with_talk,
    limits_on,
    plan_shrinks,
)
from engine.calls.lifecycle import AnswerNoted, Settlement
from engine.calls.reports import AnswerReport
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.runtime import failpoints
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for, woken_to_stop
from engine.storage.bookings import Grant
from engine.storage.errors import StorageError
from engine.storage.interface import Storage

log = structlog.get_logger(__name__)

LONGEST_WAIT_SECONDS = 1.0


class LimitKeeper:
    """Makes room for calls that come in now; `run` works off everything that can wait."""

    def __init__(
        self,
        storage: Storage,
        link: AmiLink,
        clock: Clock,
        policy: Policy,
        keepership: Keepership | None = None,
        elsewhere: Elsewhere | None = None,
        moved: Callable[[TalkLimit], None] = lambda limit: None,
    ) -> None:
        self._storage = storage
        self._keepership = keepership or Keepership()
        self._elsewhere = elsewhere or Elsewhere()
        self._moved = moved
        self._link = link
        self._live = LiveLimits(storage, link, clock, self._keepership)
        self._clock = clock
        self._policy = policy
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Bookings whose seconds must be shared anew.
        self._changed: set[BookingId] = set()
        # Bookings whose limits in Asterisk may differ from the database. They are set again once Asterisk can be
        # reached.
        self._unsure: set[BookingId] = set()
        self._ringing_ends = RingingEnds(link)
        # Calls that were answered although nothing meters them.
        self._to_end: set[CallId] = set()
        self._wake = asyncio.Event()

    def sending_route(self, call_id: CallId) -> AbstractContextManager[None]:
        """Marks the route of a call as being sent to Asterisk inside its `with`; the route contains the call's lease.

        Nothing may lower the lease meanwhile, because the larger one would arrive last.
        """
        return self._live.sending_route(call_id)

    def answered(self, report: AnswerReport, noted: AnswerNoted) -> None:
        """Schedules what an answer needs: another limit than Asterisk has set, new shares, or the end of the call."""
        self._live.answered(report.call_id)
        if noted.must_end:
            self._to_end.add(report.call_id)
            self._wake.set()
        elif noted.limit_differs:
            self.differs(report.booking_id)
        if noted.others_up:
            self.changed(report.booking_id)

    @asynccontextmanager
    async def room_made(self, booking_id: BookingId, seconds: int) -> AsyncIterator[bool]:
        """Takes up to `seconds` back from the calls that are up on the booking, for a call that is routed inside.

        Others make their room afterwards. Otherwise all of them would make the same room, and only one would get it.

        Yields:
            Whether all keepers have made their room. If not, there is no use in asking them again.
        """
        # Before the lock: two engines that asked each other while they hold theirs would both wait in vain.
        is_made = await self._elsewhere.make_room(booking_id, seconds)
        async with self._exclusive(booking_id):
            await self._share(booking_id, keep_free=seconds)
            yield is_made

    async def make_room(self, booking_id: str, seconds: int) -> None:
        """Takes up to `seconds` back from the calls that are up on the booking, for a call at another Asterisk."""
        async with self._exclusive(BookingId(booking_id)):
            await self._share(BookingId(booking_id), keep_free=seconds)

    async def end_ringing(self, call_id: CallId) -> bool:
        """Ends a call that rings, so that a call that comes in now can take its place.

        Returns:
            False if another keeper was asked to do it, and does not answer.
        """
        is_done = await self._elsewhere.end_ringing(call_id)
        if is_done is None:
            await self.end_own_ringing(call_id)
        return is_done is not False

    async def end_own_ringing(self, call_id: str, _: int = 0) -> None:
        """Ends a call that rings in the Asterisk of this engine."""
        await self._ringing_ends.end(CallId(call_id))

    async def adjust(self, adjustment: Adjustment) -> Grant:
        """Gives a booking seconds and calls or takes some away, after live calls gave back what they can.

        Raises:
            NotFound: There is no such booking.
            BookingGone: The booking was deleted, or its grace ended.
        """
        booking_id = adjustment.booking_id
        await self._elsewhere.make_room(booking_id, adjustment.seconds_to_take)
        async with self._exclusive(booking_id):
            shrunk = await self._lower_limits(booking_id, keep_free=adjustment.seconds_to_take)
            at = self._clock.timestamp()
            grant, raised_limits = await self._storage.run(
                adjust_live, adjustment, shrunk, at, self._policy, self._keepership.keeper
            )
            failpoints.hit("adjustment booked")
            await self._set_limits(booking_id, raised_limits)
        return grant

    def changed(self, booking_id: BookingId) -> None:
        """Schedules sharing of the booking's seconds among its live calls, after a call ended or a plan was added."""
        self._changed.add(booking_id)
        self._wake.set()

    def differs(self, booking_id: BookingId) -> None:
        """Schedules the limits of a booking's calls to be set again, because Asterisk may have others."""
        self._unsure.add(booking_id)
        self._wake.set()

    def settled(self, settlement: Settlement) -> None:
        """Schedules sharing of what a call gave back, if other calls of its booking are up."""
        self._ringing_ends.settled(settlement.cdr.call_id)
        if settlement.others_up:
            self.changed(settlement.cdr.booking_id)

    async def review(self) -> None:
        """Schedules what was missed.

        That is: sharing of idle seconds, where the engine ended after it had settled a call, and the limits of calls
        that by our boot clock talk past their lease, whatever limit Asterisk has for them.
        """
        at, keeper = self._clock.timestamp(), self._keepership.keeper
        for booking_id in await self._storage.run(bookings_to_share, at, self._policy, keeper):
            self.changed(booking_id)
        self._unsure.update(await self._storage.run(bookings_overrun, at.boot_ms, keeper.asterisk))
        self._wake.set()

    async def resync(self) -> None:
        """Schedules every limit to be set again.

        This is needed after a time without Asterisk, as it is unknown which limits it has, and when a wall clock was
        set, because Asterisk keeps its limits by its wall clock.
        """
        self._unsure.update(await self._storage.run(bookings_with_talk, self._keepership.keeper.asterisk))
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works off what is scheduled, until `stop` is set."""
        with woken_to_stop(self._wake, stop):
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self._work_off()
                except StorageError as error:
                    log.warning("limits_postponed", reason=str(error))
                await wait_for(self._wake, LONGEST_WAIT_SECONDS)

    async def _work_off(self) -> None:
        if not self._keepership.is_ours:
            # The keeper finds all of this when it reviews its bookings.
            for left_to_others in (self._changed, self._unsure, self._to_end):
                left_to_others.clear()
        while self._changed:
            booking_id = self._changed.pop()
            async with self._exclusive(booking_id):
                await self._share(booking_id)
        if self._link.is_up:
            for booking_id in list(self._unsure):
                await self._set_all_limits(booking_id)
            for call_id in list(self._to_end):
                await self._end(call_id)

    async def _end(self, call_id: CallId) -> None:
        """Ends a call that nothing meters."""
        log.warning("answered_call_unmetered", call=call_id)
        with suppress(AmiRefused):  # it has just ended
            try:
                await self._link.hang_up(call_id)
            except AmiUnavailable as error:
                log.warning("call_not_ended", call=call_id, reason=str(error))
                return
        self._to_end.discard(call_id)

    async def _set_all_limits(self, booking_id: BookingId) -> None:
        async with self._exclusive(booking_id):
            self._unsure.discard(booking_id)
            await self._share(booking_id)
            at = self._clock.timestamp()
            for limit in await self._storage.run(limits_on, booking_id, at, self._keepership.keeper):
                await self._set_limit(booking_id, limit)

    async def _share(self, booking_id: BookingId, *, keep_free: int = 0) -> None:
        """Shares a booking's seconds fairly among the calls that are up. No call gets the seconds in `keep_free`."""
        shrunk = await self._lower_limits(booking_id, keep_free=keep_free)
        at = self._clock.timestamp()
        keeper = self._keepership.keeper
        raised_limits = await self._storage.run(
            apply_shares, booking_id, shrunk, at, self._policy, keep_free=keep_free, keeper=keeper
        )
        if raised_limits:
            failpoints.hit("growth booked")
        await self._set_limits(booking_id, raised_limits)

    async def _lower_limits(self, booking_id: BookingId, *, keep_free: int = 0) -> dict[CallId, int]:
        """Lowers in Asterisk the limits that must shrink.

        Returns:
            The new lease in seconds of each call whose limit Asterisk has lowered. The database may follow.
        """
        at = self._clock.timestamp()
        keeper = self._keepership.keeper
        shrinks = await self._storage.run(plan_shrinks, booking_id, at, self._policy, keep_free, keeper)
        was_set = await self._set_limits(booking_id, shrinks)
        shrunk = {limit.call_id: limit.leased for limit, done in zip(shrinks, was_set, strict=True) if done}
        if shrunk:
            failpoints.hit("limits lowered")
        return shrunk

    async def _set_limits(self, booking_id: BookingId, limits: Iterable[TalkLimit]) -> list[bool]:
        return await asyncio.gather(*(self._set_limit(booking_id, limit) for limit in limits))

    async def _set_limit(self, booking_id: BookingId, limit: TalkLimit) -> bool:
        """Sets a limit in Asterisk. Returns whether Asterisk has confirmed it."""
        outcome = await self._live.set(limit)
        if outcome is Outcome.UNSURE:
            self._unsure.add(booking_id)
        elif outcome is Outcome.SET:
            self._moved(limit)
        return outcome is Outcome.SET

    @asynccontextmanager
    async def _exclusive(self, booking_id: BookingId) -> AsyncIterator[None]:
        """Holds the booking's lock. A failure inside leaves its limits unsure: they are set again later."""
        async with self._lock(booking_id):
            try:
                yield
            except BaseException:
                # A failure or a deadline may have struck between Asterisk and the database.
                self._unsure.add(booking_id)
                raise

    def _lock(self, booking_id: BookingId) -> asyncio.Lock:
        lock = self._locks.get(booking_id)
        if lock is None:
            lock = self._locks[booking_id] = asyncio.Lock()
        return lock
