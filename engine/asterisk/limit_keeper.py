"""Keeps the limits of live calls in Asterisk in step with their leases in the database.

A limit is decided in the database and then set in Asterisk. Between these two moments nothing else may decide on the
same booking: a stale, larger limit that arrives late would let a call overspend. So only one task at a time works on a
booking. Leases shrink in Asterisk first and in the database second, and grow in the opposite order: whatever fails in
between, the lease in the database is at least the limit in Asterisk.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError, AmiUnavailable
from engine.bookings.adjustments import Adjustment, adjust_live
from engine.calls.lease_rebalancing import (
    TalkLimit,
    apply_shares,
    begin_talk,
    bookings_overrun,
    bookings_to_share,
    bookings_with_talk,
    limit_of,
    limits_on,
    plan_shrinks,
)
from engine.calls.lifecycle import Settlement
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.runtime import failpoints
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for_any
from engine.storage.bookings import Grant
from engine.storage.errors import StorageError
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

# Asterisk takes 0 for "no limit".
SHORTEST_LIMIT_MS = 10
LONGEST_WAIT_SECONDS = 1.0


class LimitKeeper:
    """Sets limits at once for calls that are answered now; `run` works off everything that can wait."""

    def __init__(self, storage: SqliteStorage, link: AmiLink, clock: Clock, policy: Policy) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._policy = policy
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Bookings whose seconds must be shared anew.
        self._changed: set[BookingId] = set()
        # Bookings whose limits in Asterisk may differ from the database. They are set again once Asterisk can be
        # reached.
        self._unsure: set[BookingId] = set()
        self._wake = asyncio.Event()

    async def answered(
        self,
        booking_id: BookingId,
        call_id: CallId,
        callee_channel: str,
        set_limit: Callable[[TalkLimit | None], Awaitable[None]],
        asterisk_ahead: int | None = None,
    ) -> bool:
        """Decides how long a call that was answered just now may last, and sets that limit.

        A repeated report finds a call that talks and has its limit. Setting the limit once more over AGI would take
        time in which they talk, so it stays, and is moved over AMI if it must change.

        Args:
            booking_id: The call's booking.
            call_id: The unique id of the caller's channel.
            callee_channel: The unique id of the callee's channel, which carries the limit.
            set_limit: Sets the limit over AGI; None as the limit means that the call must end.
            asterisk_ahead: Milliseconds by which Asterisk's wall clock is ahead of our boot clock; None if unknown.

        Returns:
            Whether `set_limit` was called; False for a repeated report.
        """
        async with self._exclusive(booking_id):
            at = self._clock.timestamp()
            now = None if asterisk_ahead is None else EpochMs(at.boot_ms + asterisk_ahead)
            talk = await self._storage.run(begin_talk, call_id, callee_channel, at, self._policy, asterisk_now=now)
            # Raise the other calls' limits before lowering any: the last limit sent must be the one in the database.
            await self._set_limits(booking_id, talk.raised_limits)
            limit = talk.limit
            if talk.crowded:
                await self._share(booking_id, newcomer=call_id)
                limit = await self._storage.run(limit_of, call_id, self._clock.timestamp())
            if talk.is_repeat and limit is not None and limit.left_ms > 0:
                self.changed(booking_id)
                return False
            await set_limit(limit)
            return True

    async def make_room(self, booking_id: BookingId, seconds: int) -> None:
        """Takes up to `seconds` back from the booking's live calls."""
        async with self._exclusive(booking_id):
            await self._share(booking_id, keep_free=seconds)

    async def adjust(self, adjustment: Adjustment) -> Grant:
        """Gives a booking seconds and calls or takes some away, after live calls gave back what they can.

        Raises:
            NotFound: There is no such booking.
            BookingGone: The booking was deleted, or its grace ended.
        """
        booking_id = adjustment.booking_id
        async with self._exclusive(booking_id):
            shrunk = await self._lower_limits(booking_id, keep_free=adjustment.seconds_to_take)
            at = self._clock.timestamp()
            grant, raised_limits = await self._storage.run(adjust_live, adjustment, shrunk, at, self._policy)
            failpoints.hit("adjustment booked")
            await self._set_limits(booking_id, raised_limits)
        return grant

    def changed(self, booking_id: BookingId) -> None:
        """Schedules sharing of the booking's seconds among its live calls, after a call ended or a plan was added."""
        self._changed.add(booking_id)
        self._wake.set()

    def settled(self, settlement: Settlement) -> None:
        """Schedules sharing of what a call gave back, if other calls of its booking are up."""
        if settlement.others_up:
            self.changed(settlement.cdr.booking_id)

    async def review(self) -> None:
        """Schedules what was missed.

        That is: sharing of idle seconds, where a script was cut off after it settled a call, and the limits of calls
        that by our boot clock talk past their lease, whatever limit Asterisk has for them.
        """
        at = self._clock.timestamp()
        for booking_id in await self._storage.run(bookings_to_share, at, self._policy):
            self.changed(booking_id)
        self._unsure.update(await self._storage.run(bookings_overrun, at.boot_ms))
        self._wake.set()

    async def resync(self) -> None:
        """Schedules every limit to be set again.

        This is needed after a time without Asterisk, as it is unknown which limits it has, and when a wall clock was
        set, because Asterisk keeps its limits by its wall clock.
        """
        self._unsure.update(await self._storage.run(bookings_with_talk))
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works off what is scheduled, until `stop` is set."""
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._work_off()
            except StorageError as error:
                log.warning("limits_postponed", reason=str(error))
            await wait_for_any((self._wake, stop), LONGEST_WAIT_SECONDS)

    async def _work_off(self) -> None:
        while self._changed:
            booking_id = self._changed.pop()
            async with self._exclusive(booking_id):
                await self._share(booking_id)
        if self._link.is_up:
            for booking_id in list(self._unsure):
                await self._set_all_limits(booking_id)

    async def _set_all_limits(self, booking_id: BookingId) -> None:
        async with self._exclusive(booking_id):
            self._unsure.discard(booking_id)
            await self._share(booking_id)
            for limit in await self._storage.run(limits_on, booking_id, self._clock.timestamp()):
                await self._set_limit(booking_id, limit)

    async def _share(self, booking_id: BookingId, *, newcomer: CallId | None = None, keep_free: int = 0) -> None:
        """Shares a booking's seconds fairly among its live calls.

        Args:
            booking_id: The booking.
            newcomer: A call that has no limit in Asterisk yet; the caller of this method sets it. Until then its lease
                does not shrink: if the engine is lost, Asterisk lets the call talk for what it leased first.
            keep_free: Seconds that no live call gets.
        """
        shrunk = await self._lower_limits(booking_id, newcomer=newcomer, keep_free=keep_free)
        at = self._clock.timestamp()
        raised_limits = await self._storage.run(apply_shares, booking_id, shrunk, at, self._policy, keep_free=keep_free)
        failpoints.hit("growth booked")
        await self._set_limits(booking_id, [limit for limit in raised_limits if limit.call_id != newcomer])

    async def _lower_limits(
        self, booking_id: BookingId, *, newcomer: CallId | None = None, keep_free: int = 0
    ) -> dict[CallId, int]:
        """Lowers in Asterisk the limits that must shrink.

        Returns:
            The new lease in seconds of each call whose limit Asterisk has lowered. The database may follow.
        """
        at = self._clock.timestamp()
        shrinks = await self._storage.run(plan_shrinks, booking_id, at, self._policy, keep_free)
        others = [limit for limit in shrinks if limit.call_id != newcomer]
        if len(others) < len(shrinks):
            self.changed(booking_id)
        was_set = await self._set_limits(booking_id, others)
        shrunk = {limit.call_id: limit.leased for limit, done in zip(others, was_set, strict=True) if done}
        failpoints.hit("limits lowered")
        return shrunk

    async def _set_limits(self, booking_id: BookingId, limits: Iterable[TalkLimit]) -> list[bool]:
        return await asyncio.gather(*(self._set_limit(booking_id, limit) for limit in limits))

    async def _set_limit(self, booking_id: BookingId, limit: TalkLimit) -> bool:
        """Sets a limit in Asterisk. Returns whether Asterisk has confirmed it."""
        left_ms = limit.left_ms - (self._clock.timestamp().boot_ms - limit.at_boot_ms)
        seconds = max(left_ms, SHORTEST_LIMIT_MS) / 1000
        try:
            await self._link.action("AbsoluteTimeout", Channel=limit.channel, Timeout=f"{seconds:.3f}")
        except AmiUnavailable as error:
            log.warning("limit_not_set", call=limit.call_id, reason=str(error))
            self._unsure.add(booking_id)
            return False
        except AmiError:
            return False  # no such channel: the call has just ended
        return True

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
