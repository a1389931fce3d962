"""What an operator asks a running engine for: it alone moves the limits of live calls, and ends them."""

import asyncio
from collections.abc import Sequence

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.limit_keeper import LimitKeeper
from engine.bookings.adjustments import Adjustment
from engine.control.requests import DiagnosticsRequest, Done, EndCalls, HangUp, ShareSeconds
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId, CallId
from engine.runtime.diagnostics import Diagnostics, diagnose
from engine.storage.bookings import Grant
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction


class Operator:
    """Every method raises Refusal and StorageError."""

    def __init__(self, storage: SqliteStorage, link: AmiLink, limits: LimitKeeper) -> None:
        self._storage = storage
        self._link = link
        self._limits = limits

    async def adjust(self, adjustment: Adjustment) -> Grant:
        return await self._limits.adjust(adjustment)

    async def hang_up(self, wanted: HangUp) -> Done:
        return await self._end([await self._storage.run(_up, wanted.call_id)])

    async def end_calls(self, wanted: EndCalls) -> Done:
        return await self._end(await self._storage.run(_up_on, wanted.booking_id))

    async def share(self, wanted: ShareSeconds) -> Done:
        self._limits.changed(wanted.booking_id)
        return Done()

    async def look(self, wanted: DiagnosticsRequest) -> Diagnostics:
        return diagnose(collected=wanted.collected)

    async def _end(self, channels: Sequence[CallId]) -> Done:
        reached = await asyncio.gather(*map(self._reached, channels))
        return Done(len(channels), reached.count(False))

    async def _reached(self, channel: str) -> bool:
        try:
            await self._link.hang_up(channel)
        except AmiRefused:
            return True  # no such channel: it has just ended
        except AmiUnavailable:
            return False
        return True


def _up(tx: Transaction, call_id: CallId) -> CallId:
    call = tx.calls.by_id(call_id)
    if call is None or call.ended_at is not None:
        raise NotFound("there is no such live call: `calls live` shows their ids")
    return call.call_id


def _up_on(tx: Transaction, booking_id: BookingId) -> list[CallId]:
    return [call.call_id for call in tx.calls.up_on(booking_id)]
