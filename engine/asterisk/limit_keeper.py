"""Keeps the limits of live calls in Asterisk in step with their leases in the books.

One booking is worked on by one task at a time. Between the moment in which a limit is decided and the one in which
Asterisk has it, nobody else may decide: a stale, larger limit that arrives late would let a call overspend.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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
LONGEST_NAP_SECONDS = 1.0


class LimitKeeper:
    """`run` works off what `changed` and failed moves leave to do."""

    def __init__(self, storage: SqliteStorage, link: AmiLink, clock: Clock, policy: Policy) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._policy = policy
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed: set[BookingId] = set()
        # Bookings with a limit that Asterisk may or may not have, by what is in the books: told again once it can be
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
        """Work out how long a call may last that was answered just now, and have `set_limit` carry it out.

        `asterisk_ahead`: how far Asterisk's wall clock is ahead of our ticks (None: it does not say). False: that it
        was answered is an old story. What we answer now may take its time, in which they talk: the limit that they have
        stands, and is moved over the manager interface if it must be.
        """
        async with self._alone_with(booking_id):
            at = self._clock.timestamp()
            now = None if asterisk_ahead is None else EpochMs(at.boot_ms + asterisk_ahead)
            talk = await self._storage.run(begin_talk, call_id, callee_channel, at, self._policy, asterisk_now=now)
            # Before anything shrinks: what is told last must be what is booked.
            await asyncio.gather(*(self._tell(booking_id, each) for each in talk.raised_limits))
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
        """Take so many seconds back from calls that are up, as far as that goes."""
        async with self._alone_with(booking_id):
            await self._share(booking_id, keep_free=seconds)

    async def adjust(self, adjustment: Adjustment) -> Grant:
        """Give or take away, after calls that are up have given back what they can. Raises NotFound, BookingGone."""
        booking_id = adjustment.booking_id
        async with self._alone_with(booking_id):
            shrunk = await self._shrink(booking_id, keep_free=adjustment.seconds_to_take)
            at = self._clock.timestamp()
            grant, grown = await self._storage.run(adjust_live, adjustment, shrunk, at, self._policy)
            failpoints.hit("adjustment booked")
            await asyncio.gather(*(self._tell(booking_id, limit) for limit in grown))
        return grant

    def changed(self, booking_id: BookingId) -> None:
        """Share this booking's seconds anew, soon: a call ended, a plan was added."""
        self._changed.add(booking_id)
        self._wake.set()

    def settled(self, settlement: Settlement) -> None:
        """Share what a call gave back, if there is anybody to have it."""
        if settlement.others_up:
            self.changed(settlement.cdr.booking_id)

    async def look_over(self) -> None:
        """Share what lies idle: of some ends nobody hears, because the script that settled them was cut off.

        And cut what talks past its lease by our ticks, whatever Asterisk has made of its limit.
        """
        at = self._clock.timestamp()
        for booking_id in await self._storage.run(bookings_to_share, at, self._policy):
            self.changed(booking_id)
        self._unsure.update(await self._storage.run(bookings_overrun, at.boot_ms))
        self._wake.set()

    async def resync(self) -> None:
        """Tell Asterisk every limit again: after a time without it, nobody knows which it has; and it keeps them by the
        wall clock: when that is set, they are wrong."""
        self._unsure.update(await self._storage.run(bookings_with_talk))
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._work_off()
            except StorageError as error:
                log.warning("limits_wait_for_storage", reason=str(error))
            await wait_for_any((self._wake, stop), LONGEST_NAP_SECONDS)

    async def _work_off(self) -> None:
        while self._changed:
            booking_id = self._changed.pop()
            async with self._alone_with(booking_id):
                await self._share(booking_id)
        if self._link.is_up:
            for booking_id in list(self._unsure):
                await self._tell_all(booking_id)

    async def _tell_all(self, booking_id: BookingId) -> None:
        async with self._alone_with(booking_id):
            self._unsure.discard(booking_id)
            await self._share(booking_id)
            for limit in await self._storage.run(limits_on, booking_id, self._clock.timestamp()):
                await self._tell(booking_id, limit)

    async def _share(self, booking_id: BookingId, *, newcomer: CallId | None = None, keep_free: int = 0) -> None:
        """`newcomer`: a call whose limit Asterisk does not have yet; whoever holds the lock sets it.

        Until then its lease does not shrink: if the engine is lost, Asterisk lets it talk for what it first leased.
        """
        shrunk = await self._shrink(booking_id, newcomer=newcomer, keep_free=keep_free)
        at = self._clock.timestamp()
        grown = await self._storage.run(apply_shares, booking_id, shrunk, at, self._policy, keep_free=keep_free)
        failpoints.hit("growth booked")
        await asyncio.gather(*(self._tell(booking_id, limit) for limit in grown if limit.call_id != newcomer))

    async def _shrink(
        self, booking_id: BookingId, *, newcomer: CallId | None = None, keep_free: int = 0
    ) -> dict[CallId, int]:
        """Have Asterisk lower the limits that must shrink. Returns the leases that the books can follow with."""
        at = self._clock.timestamp()
        shrinks = await self._storage.run(plan_shrinks, booking_id, at, self._policy, keep_free)
        others = [limit for limit in shrinks if limit.call_id != newcomer]
        if len(others) < len(shrinks):
            self.changed(booking_id)
        told = await asyncio.gather(*(self._tell(booking_id, limit) for limit in others))
        shrunk = {limit.call_id: limit.leased for limit, done in zip(others, told, strict=True) if done}
        failpoints.hit("shrinks told")
        return shrunk

    async def _tell(self, booking_id: BookingId, limit: TalkLimit) -> bool:
        """Whether Asterisk has taken it."""
        left_ms = limit.left_ms - (self._clock.timestamp().boot_ms - limit.at_boot_ms)
        seconds = max(left_ms, SHORTEST_LIMIT_MS) / 1000
        try:
            await self._link.action("AbsoluteTimeout", Channel=limit.channel, Timeout=f"{seconds:.3f}")
        except AmiUnavailable as error:
            log.warning("limit_not_told", call=limit.call_id, reason=str(error))
            self._unsure.add(booking_id)
            return False
        except AmiError:
            return False  # no such channel: the call has just ended
        return True

    @asynccontextmanager
    async def _alone_with(self, booking_id: BookingId) -> AsyncIterator[None]:
        async with self._lock(booking_id):
            try:
                yield
            except BaseException:
                # Broken off between Asterisk and the books, by a failure or a deadline.
                self._unsure.add(booking_id)
                raise

    def _lock(self, booking_id: BookingId) -> asyncio.Lock:
        lock = self._locks.get(booking_id)
        if lock is None:
            lock = self._locks[booking_id] = asyncio.Lock()
        return lock
