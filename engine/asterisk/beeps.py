"""Lets both sides of a call hear a beep when a minute of it is left, on bookings that have the beep.

The moment follows from the books: from the lease, which the limit keeper moves, and from the booking's end. So nothing
is kept of a call until its moment is near, and an engine that begins, or becomes the keeper of its Asterisk, finds what
is due. Calls on bookings without the beep cost nothing.

PlayDTMF with Receive lets Asterisk take a digit as received from the callee's channel. The channels' own threads play
the tone then and end it (asterisk_conf/drop_in/features_rented_numbers.conf).
"""

import asyncio
from collections.abc import Sequence

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.call_variables import BEEP, BEEPED, DYNAMIC_FEATURES
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.calls.lease_rebalancing import TalkLimit
from engine.domain.beep import BeepingCall
from engine.domain.ids import CallId
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for, woken_to_stop
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

# The engine looks for calls this many times within the time before their end. A call beeps after a quarter of that time
# at the earliest (SHORTEST_CALL), so each call is found in time.
LOOKS = 6
# The engine does not look more often, however many moments there are and however often limits move.
SHORTEST_WAIT_SECONDS = 0.1
# A limit that has fallen is written to the books after Asterisk has it.
BOOKED_MS = 300
# More calls than an Asterisk carries; and how many may begin to beep at the same time.
MOST_CALLS = 10_000
AT_ONCE = 16
# The digits of features_rented_numbers.conf, as short as possible: meanwhile the caller does not hear the callee.
DIGITS, DIGIT_MS = "CD", "80"


def calls_to_beep(tx: Transaction, at: Timestamp, horizon_ms: int, asterisk: str) -> list[BeepingCall]:
    """Returns the calls in an Asterisk, on bookings with the beep, that end within `horizon_ms`."""
    return tx.calls.to_beep(asterisk, BootMs(at.boot_ms + horizon_ms), EpochMs(at.wall_ms + horizon_ms), MOST_CALLS)


class Beeps:
    """Beeps at the moments of the live calls, if this engine is the keeper of its Asterisk.

    Args:
        storage: Runs queries.
        link: The link to Asterisk.
        clock: The clock.
        keepership: Whether this engine keeps its Asterisk.
        before_seconds: How long before the end of a call both sides hear the beep.
    """

    def __init__(
        self, storage: Storage, link: AmiLink, clock: Clock, keepership: Keepership, before_seconds: float
    ) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._keepership = keepership
        self._before_ms = round(before_seconds * 1000)
        self._every_ms = self._before_ms // LOOKS
        # Calls that have beeped lately, or cannot beep, and since when.
        self._done: dict[CallId, BootMs] = {}
        self._next_look = BootMs(0)
        self._moved = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def moved(self, limit: TalkLimit) -> None:
        """Takes note that Asterisk has set another limit on a call that talks or rings."""
        if not limit.beep or limit.channel is None:
            return
        moment = BootMs(limit.at_boot_ms + max(BOOKED_MS, limit.left_ms - self._before_ms))
        if moment < self._next_look:
            self._next_look = moment
            self._moved.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Looks for calls, and beeps at their moments, until `stop` is set."""
        with woken_to_stop(self._moved, stop):
            while not stop.is_set():
                self._moved.clear()
                if self._clock.timestamp().boot_ms >= self._next_look:
                    await self.look()
                    await wait_for(stop, SHORTEST_WAIT_SECONDS)
                left_ms = self._next_look - self._clock.timestamp().boot_ms
                await wait_for(self._moved, max(0, left_ms) / 1000)

    async def look(self) -> None:
        """Beeps where the moment has come, and sets when to look again: at the next moment, or after a while."""
        at = self._clock.timestamp()
        self._next_look = BootMs(at.boot_ms + self._every_ms)
        if not (self._keepership.is_ours and self._link.is_up):
            return
        horizon, asterisk = self._before_ms + self._every_ms, self._keepership.keeper.asterisk
        try:
            calls = await self._storage.run(calls_to_beep, at, horizon, asterisk)
        except StorageError as error:
            log.warning("beeps_postponed", reason=str(error))
            return
        due = []
        for call in calls:
            until = call.until_beep_ms(at, self._before_ms)
            if until == 0:
                due.append(call)
            elif until is not None:
                self._next_look = min(self._next_look, BootMs(at.boot_ms + until))
        self._done = {call: since for call, since in self._done.items() if at.boot_ms - since < self._before_ms}
        await self._beep_all([call for call in due if call.call_id not in self._done], at)

    async def _beep_all(self, calls: Sequence[BeepingCall], at: Timestamp) -> None:
        await asyncio.gather(*(self._beep(call, at) for call in calls))

    async def _beep(self, call: BeepingCall, at: Timestamp) -> None:
        """Beeps on both channels of a call, unless it has beeped lately, or came in without the beep."""
        async with self._slots:
            try:
                if await self._may_beep(call.callee_channel, at.wall_ms):
                    await asyncio.gather(
                        self._link.action(
                            "Setvar", Channel=call.callee_channel, Variable=BEEPED, Value=str(at.wall_ms)
                        ),
                        *(self._play_digit(call.callee_channel, digit) for digit in DIGITS),
                    )
                    log.debug("beeped", call=call.call_id)
            except AmiUnavailable as error:
                log.warning("beep_postponed", call=call.call_id, reason=str(error))
                return
            except AmiRefused as error:  # it has just ended
                log.info("beep_refused", call=call.call_id, reason=str(error))
            self._done[call.call_id] = at.boot_ms

    async def _play_digit(self, channel: str, digit: str) -> None:
        await self._link.action("PlayDTMF", Channel=channel, Digit=digit, Duration=DIGIT_MS, Receive="true")

    async def _may_beep(self, channel: str, now: EpochMs) -> bool:
        """Returns whether the call came in with the beep, and has not beeped lately, by this engine or another one.

        On a channel without the feature, Asterisk would pass the digit on to the other side.
        """
        features, beeped = await asyncio.gather(
            self._link.action("Getvar", Channel=channel, Variable=DYNAMIC_FEATURES),
            self._link.action("Getvar", Channel=channel, Variable=BEEPED),
        )
        is_recent = bool(beeped.value) and abs(now - int(beeped.value)) < self._before_ms
        return features.value == BEEP and not is_recent
