"""Errands between engines: each asks the keepers of other Asterisks to do there what only they may do.

A booking's calls may be up in several Asterisks. A call that comes in at one of them may need seconds that a call in
another one has, and a customer who deletes a booking ends its calls in all of them. An errand is a row: the keeper
looks every LOOK_SECONDS, does it, and deletes it; the engine that waits for it looks too. An errand that is not done in
time costs a caller a "busy", or a call that must end some seconds until the next sweep. It costs no seconds of a
booking.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from engine.asterisk.errors import AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.domain.ids import BookingId, CallId
from engine.domain.times import BootMs
from engine.runtime.clock import Clock
from engine.runtime.ids import new_id
from engine.runtime.periodic import wait_for
from engine.storage.errands import Errand, ErrandKind
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2
# How often and how long the one who asked looks. A call's decision has little more time.
WAIT_LOOK_SECONDS = 0.05
WAIT_SECONDS = 0.8
# After this time nobody waits for it any more.
LIFE_MS = 5_000
MOST_AT_ONCE = 100


class Elsewhere:
    """The calls that other engines keep. In this class there are none: this engine works alone on its database."""

    async def make_room(self, booking_id: BookingId, seconds: int) -> bool:
        """Has other keepers take up to `seconds` back from their calls on a booking.

        Returns:
            Whether they have done it in time.

        Raises:
            StorageError: The database failed.
        """
        return True

    async def end_ringing(self, call_id: CallId) -> bool | None:
        """Has another keeper end a call that rings.

        Returns:
            Whether it has done it in time; None if the call is our own.

        Raises:
            StorageError: The database failed.
        """
        return None

    async def hang_up(self, channels: Sequence[CallId]) -> list[CallId]:
        """Has other keepers end their calls among `channels`.

        Returns:
            Our own, which are still to be ended.

        Raises:
            AmiUnavailable: Another keeper has not done it in time. It may still do it, and else its next sweep.
            StorageError: The database failed.
        """
        return list(channels)


class SharedElsewhere(Elsewhere):
    """Asks the keepers of other Asterisks.

    Args:
        storage: The database.
        clock: Its ticks are those of all engines on the database.
        keepership: Which calls are our own.
    """

    def __init__(self, storage: Storage, clock: Clock, keepership: Keepership) -> None:
        self._storage = storage
        self._clock = clock
        self._keepership = keepership

    async def make_room(self, booking_id: BookingId, seconds: int) -> bool:
        """Has other keepers take up to `seconds` back from their calls on a booking. See `Elsewhere`."""
        others = await self._storage.run(_asterisks_of, booking_id) - self._own
        errands = [self._errand(name, ErrandKind.ROOM, booking_id, seconds) for name in sorted(others)]
        return await self._have_done(errands)

    async def end_ringing(self, call_id: CallId) -> bool | None:
        """Has another keeper end a call that rings. See `Elsewhere`."""
        asterisk = await self._storage.run(_asterisk_of, call_id)
        if asterisk is None or asterisk in self._own:
            return None
        return await self._have_done([self._errand(asterisk, ErrandKind.END_RINGING, call_id)])

    async def hang_up(self, channels: Sequence[CallId]) -> list[CallId]:
        """Has other keepers end their calls among `channels`. Returns our own. See `Elsewhere`."""
        found = {call_id: await self._storage.run(_asterisk_of, call_id) for call_id in channels}
        theirs = {call_id: name for call_id, name in found.items() if name is not None and name not in self._own}
        errands = [self._errand(name, ErrandKind.HANG_UP, call_id) for call_id, name in theirs.items()]
        if not await self._have_done(errands):
            raise AmiUnavailable("the engine that keeps the call's Asterisk does not answer")
        return [call_id for call_id in channels if call_id not in theirs]

    @property
    def _own(self) -> set[str]:
        return {self._keepership.keeper.asterisk} if self._keepership.is_certain else set()

    def _errand(self, asterisk: str, kind: ErrandKind, subject: str, seconds: int = 0) -> Errand:
        until = BootMs(self._clock.timestamp().boot_ms + LIFE_MS)
        return Errand(new_id("err"), asterisk, kind, subject, seconds, until)

    async def _have_done(self, errands: Sequence[Errand]) -> bool:
        """Asks for errands and waits, for WAIT_SECONDS at most. Returns whether they are done. Raises StorageError."""
        if not errands:
            return True
        await self._storage.run(_ask, errands)
        waiting, until = [errand.id for errand in errands], time.monotonic() + WAIT_SECONDS
        while waiting and time.monotonic() < until:
            await asyncio.sleep(WAIT_LOOK_SECONDS)
            waiting = await self._storage.run(_left_of, waiting)
        if waiting:
            log.warning("errands_not_done", errands=len(waiting), kind=errands[0].kind.value)
        return not waiting


class ErrandRunner:
    """Does the errands that others have for the keeper of this engine's Asterisk.

    Args:
        storage: The database.
        clock: Its ticks are those of all engines on the database.
        keepership: Whether this engine is the keeper.
        carry_out: What to do for an errand of each kind, with its subject and its seconds. Raises StorageError.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        keepership: Keepership,
        carry_out: dict[ErrandKind, Callable[[str, int], Awaitable[None]]],
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._keepership = keepership
        self._carry_out = carry_out

    async def run(self, stop: asyncio.Event) -> None:
        """Looks for errands until `stop` is set."""
        while not stop.is_set():
            try:
                await self._look()
            except StorageError as error:
                log.warning("errands_wait_for_storage", reason=str(error))
            await wait_for(stop, LOOK_SECONDS)

    async def _look(self) -> None:
        if not self._keepership.is_certain:
            return
        found = await self._storage.run(_errands_of, self._keepership.keeper.asterisk)
        for result in await asyncio.gather(*map(self._do, found), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _do(self, errand: Errand) -> None:
        if self._clock.timestamp().boot_ms <= errand.until_ticks:
            await self._carry_out[errand.kind](errand.subject, errand.seconds)
        await self._storage.run(_delete, errand.id)


def _asterisks_of(tx: Transaction, booking_id: BookingId) -> set[str]:
    return tx.errands.asterisks_of(booking_id)


def _asterisk_of(tx: Transaction, call_id: CallId) -> str | None:
    return tx.errands.asterisk_of(call_id)


def _errands_of(tx: Transaction, asterisk: str) -> list[Errand]:
    return tx.errands.of(asterisk, MOST_AT_ONCE)


def _ask(tx: Transaction, errands: Sequence[Errand]) -> None:
    for errand in errands:
        tx.errands.insert(errand)


def _left_of(tx: Transaction, errand_ids: Sequence[str]) -> list[str]:
    return [errand_id for errand_id in errand_ids if tx.errands.exists(errand_id)]


def _delete(tx: Transaction, errand_id: str) -> None:
    tx.errands.delete(errand_id)
