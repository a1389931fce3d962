"""Sets the limit of one live call in Asterisk, whether the call rings or talks."""

import asyncio
from contextlib import AbstractContextManager
from enum import Enum, auto

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.call_variables import BRIDGE, DIALED_PEER, NOT_TAKEN, SECONDS, TAKEN, VERDICT
from engine.asterisk.errors import AmiError, AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.asterisk.pending_routes import PendingRoutes
from engine.calls.lease_rebalancing import TalkLimit, limit_if_answered
from engine.domain.ids import CallId
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.interface import Storage

log = structlog.get_logger(__name__)

# Asterisk takes 0 for "no limit".
SHORTEST_LIMIT_MS = 10
# Asterisk receives a route, and reports an answer, well within this time.
LONGEST_DELAY_SECONDS = 1.0


class Outcome(Enum):
    """What became of a limit.

    Attributes:
        SET: Asterisk has confirmed it, and the call can keep to it.
        NOT_SET: The call has just ended, or has talked past the limit.
        UNSURE: Asterisk may have another one, so all limits of the booking must be set again.
    """

    SET = auto()
    NOT_SET = auto()
    UNSURE = auto()


class LiveLimits:
    """Sets limits, if this engine is the keeper of its Asterisk."""

    def __init__(self, storage: Storage, link: AmiLink, clock: Clock, keepership: Keepership) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._keepership = keepership
        self._routes = PendingRoutes()
        # Calls of which Asterisk has an answer that is not reported yet.
        self._answer_awaited: dict[CallId, asyncio.Event] = {}

    def sending_route(self, call_id: CallId) -> AbstractContextManager[None]:
        """Marks the route of a call as being sent to Asterisk inside its `with`; the route contains the call's lease.

        Nothing may lower the lease meanwhile, because the larger one would arrive last.
        """
        return self._routes.sending(call_id)

    def answered(self, call_id: CallId) -> None:
        """Takes note that the answer of a call is in the database."""
        awaited = self._answer_awaited.get(call_id)
        if awaited is not None:
            awaited.set()

    async def set(self, limit: TalkLimit) -> Outcome:
        """Sets a limit. Raises StorageError."""
        try:
            if not self._keepership.is_certain:
                log.warning("limit_not_set", call=limit.call_id, reason="another engine may be the keeper by now")
                return Outcome.UNSURE
            if limit.channel is None:
                return await self._set_ringing(limit)
            return await self._set_talking(limit.channel, limit)
        except AmiUnavailable as error:
            log.warning("limit_not_set", call=limit.call_id, reason=str(error))
            return Outcome.UNSURE
        except AmiError:
            return Outcome.NOT_SET  # no such channel: the call has just ended

    async def _set_talking(self, channel: str, limit: TalkLimit) -> Outcome:
        """Sets the limit of a call that talks. If deciding on it took too long, the call has talked past it."""
        left_ms = limit.left_ms - (self._clock.timestamp().boot_ms - limit.at_boot_ms)
        seconds = max(left_ms, SHORTEST_LIMIT_MS) / 1000
        await self._link.action("AbsoluteTimeout", Channel=channel, Timeout=f"{seconds:.3f}")
        return Outcome.SET if left_ms > 0 else Outcome.NOT_SET

    async def _set_ringing(self, limit: TalkLimit) -> Outcome:
        """Changes the lease that the dialplan will read at the answer. It is SET if it surely will read this one.

        Asterisk carries out the actions in this order. The dialplan sets VERDICT after the lease, and reads the lease
        after Dial() has set DIALED_PEER; where the callee hears something first, after it has set TAKEN as well.
        """
        await self._routes.until_sent(limit.call_id, LONGEST_DELAY_SECONDS)
        caller = limit.call_id
        verdict, _, peer, taken = await asyncio.gather(
            self._link.action("Getvar", Channel=caller, Variable=VERDICT),
            self._link.action("Setvar", Channel=caller, Variable=SECONDS, Value=str(limit.leased)),
            self._link.action("Getvar", Channel=caller, Variable=DIALED_PEER),
            self._link.action("Getvar", Channel=caller, Variable=TAKEN),
        )
        is_connected = bool(peer.value) and taken.value != NOT_TAKEN
        if verdict.value == BRIDGE and not is_connected:
            return Outcome.SET
        # It was answered just now, perhaps with the old lease: once that is reported, its limit can be lowered. Or the
        # route is still on its way to Asterisk, from another engine.
        answered = await self._when_reported(limit) if is_connected else None
        if answered is None or answered.channel is None:
            return Outcome.UNSURE
        return await self._set_talking(answered.channel, answered)

    async def _when_reported(self, limit: TalkLimit) -> TalkLimit | None:
        """Returns the limit of a call that Asterisk has connected, once its answer is noted; None if it is not."""
        reported = self._answer_awaited.setdefault(limit.call_id, asyncio.Event())
        try:
            # It may have been noted since the shares were planned.
            answered = await self._storage.run(limit_if_answered, limit, self._clock.timestamp())
            if answered is None:
                await wait_for(reported, LONGEST_DELAY_SECONDS)
                answered = await self._storage.run(limit_if_answered, limit, self._clock.timestamp())
            return answered
        finally:
            self._answer_awaited.pop(limit.call_id, None)
