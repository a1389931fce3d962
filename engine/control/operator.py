"""Carries out what an operator asks a running engine for.

Only the engine can do this: it alone moves the limits of live calls and ends them.
"""

import asyncio
from collections.abc import Sequence

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errands import Elsewhere
from engine.asterisk.errors import AmiError, AmiRefused, AmiUnavailable
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.trunk_states import TrunkStates, calls_by_trunk
from engine.bookings.adjustments import Adjustment
from engine.control.requests import NAMES, Done, EndCalls, HangUp, ShareSeconds, ShownTrunk, ShownTrunks, ShowTrunks
from engine.control.server import Operation
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId, CallId
from engine.storage.bookings import Grant
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction


class Operator:
    """Adjusts bookings and ends calls at an operator's request. Every method raises Refusal and StorageError."""

    def __init__(
        self, storage: Storage, link: AmiLink, limits: LimitKeeper, trunks: TrunkStates, elsewhere: Elsewhere
    ) -> None:
        self._storage = storage
        self._elsewhere = elsewhere
        self._link = link
        self._limits = limits
        self._trunks = trunks

    def operations(self) -> list[Operation]:
        """Returns what the control socket offers in production."""
        return [
            Operation(NAMES[Adjustment], Adjustment, self.adjust),
            Operation(NAMES[HangUp], HangUp, self.hang_up),
            Operation(NAMES[EndCalls], EndCalls, self.end_calls),
            Operation(NAMES[ShareSeconds], ShareSeconds, self.share),
            Operation(NAMES[ShowTrunks], ShowTrunks, self.show_trunks),
        ]

    async def adjust(self, adjustment: Adjustment) -> Grant:
        """Adds seconds and calls to a booking or takes them away, and moves the limits of its live calls."""
        return await self._limits.adjust(adjustment)

    async def hang_up(self, request: HangUp) -> Done:
        """Ends a live call. Raises NotFound."""
        return await self._end([await self._storage.run(_live_call, request.call_id)])

    async def end_calls(self, request: EndCalls) -> Done:
        """Ends all live calls of a booking."""
        return await self._end(await self._storage.run(_live_calls_on, request.booking_id))

    async def share(self, request: ShareSeconds) -> Done:
        """Makes the limit keeper share a booking's seconds among its live calls."""
        self._limits.changed(request.booking_id)
        return Done()

    async def show_trunks(self, _: ShowTrunks) -> ShownTrunks:
        """Returns the state of each trunk."""
        calls = await self._calls_by_trunk()
        return ShownTrunks(
            [
                ShownTrunk(
                    name,
                    str(status.state),
                    status.since,
                    None if calls is None else calls.get(name, 0),
                    status.failure.sip_code if status.failure else None,
                    status.failed_at,
                )
                for name, status in self._trunks.statuses.items()
            ]
        )

    async def _calls_by_trunk(self) -> dict[str, int] | None:
        """Counts the channels of each trunk. Returns None if Asterisk does not answer."""
        try:
            return calls_by_trunk([str(message.channel or "") for message in await self._link.list("Status")])
        except AmiError:
            return None

    async def _end(self, channels: Sequence[CallId]) -> Done:
        """Ends calls, wherever they are. Raises StorageError."""
        try:
            ours = await self._elsewhere.hang_up(channels)
        except AmiUnavailable:
            return Done(len(channels), len(channels))
        reached = await asyncio.gather(*map(self._hang_up, ours))
        return Done(len(channels), reached.count(False))

    async def _hang_up(self, channel: CallId) -> bool:
        """Returns whether Asterisk was reached."""
        try:
            await self._link.hang_up(channel)
        except AmiRefused:
            return True  # Asterisk has no such channel: the call has just ended
        except AmiUnavailable:
            return False
        return True


def _live_call(tx: Transaction, call_id: CallId) -> CallId:
    call = tx.calls.by_id(call_id)
    if call is None or call.ended_at is not None:
        raise NotFound("there is no such live call: `calls live` shows their ids")
    return call.call_id


def _live_calls_on(tx: Transaction, booking_id: BookingId) -> list[CallId]:
    return [call.call_id for call in tx.calls.up_on(booking_id)]
