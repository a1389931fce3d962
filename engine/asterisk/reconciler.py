"""Reconciliation with Asterisk: finds calls that talk unreported, calls that vanished, and calls that should be over.

A list of channels that is late, cut or missing never counts as "no calls": only a complete list counts. A call is taken
for over only when two lists, some seconds apart, lack it. By then its own end report, if there ever was one, has
arrived or lies in the end spool.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog
from panoramisk.message import Message

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError, AmiRefused, AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.trunk_states import calls_by_trunk
from engine.asterisk.wall_clock import asterisk_now
from engine.calls.end_spool import EndSpool
from engine.calls.reconciliation import FoundTalking, LiveChannels, begin_found, compare_with_asterisk, settle_vanished
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for_any
from engine.storage.errors import StorageError
from engine.storage.interface import Storage

log = structlog.get_logger(__name__)

# While the link is down no reports come, and the end spool is read this often.
CHECK_LINK_SECONDS = 0.2
# A call is over when this many lists in a row lack it.
LISTS = 2
# Vanished calls that one transaction settles: after a crash of Asterisk there may be thousands.
SETTLED_AT_ONCE = 100


async def list_channels(link: AmiLink) -> LiveChannels:
    """Lists the channels that are up in Asterisk.

    Raises:
        AmiError: Asterisk cannot be reached, or its list is not complete.
    """
    messages = await link.list("Status")
    if messages[-1].event != "StatusComplete" or not messages[-1].listitems.isdecimal():
        raise AmiUnavailable("the list of channels is not complete")
    channels = [message for message in messages if message.event == "Status"]
    if len(channels) != int(messages[-1].listitems):
        raise AmiUnavailable("the list of channels is not complete")
    return _live_channels(channels)


def _live_channels(channels: list[Message]) -> LiveChannels:
    # A callee's channel has the caller's unique id as its linked id, and a bridge once the two talk.
    return LiveChannels(
        calls=frozenset(channel.uniqueid for channel in channels),
        talking={
            channel.linkedid: channel.uniqueid
            for channel in channels
            if channel.linkedid != channel.uniqueid and channel.bridgeid
        },
        callers=frozenset(channel.uniqueid for channel in channels if channel.linkedid == channel.uniqueid),
        by_trunk=calls_by_trunk([str(channel.channel or "") for channel in channels]),
    )


async def _left_ms(link: AmiLink, channel: str) -> int | None:
    """Returns what is left of the limit that Asterisk has for a channel; None if unknown. Raises AmiUnavailable."""
    try:
        seconds = (await link.action("Getvar", Channel=channel, Variable="TIMEOUT(absolute)")).value
        return round(float(seconds) * 1000) or None  # 0: no limit is set
    except (AmiRefused, ValueError, OverflowError):
        return None


class Reconciler:
    """Compares the calls in the database with Asterisk's channels, every `interval` seconds while the link is up.

    Where several engines work on the database, only the keeper of an Asterisk does so.

    Attributes:
        calls_by_trunk: How many calls lead over each trunk, by Asterisk's last list; None while the link is down.
    """

    def __init__(
        self,
        storage: Storage,
        link: AmiLink,
        clock: Clock,
        policy: Policy,
        keeper: LimitKeeper,
        spool: EndSpool,
        interval: float,
        keepership: Keepership | None = None,
    ) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._policy = policy
        self._keeper = keeper
        self._spool = spool
        self._interval = interval
        self._keepership = keepership or Keepership()
        # What the last complete list lacked, and what it had too much.
        self._missing: set[CallId] = set()
        self._over: set[CallId] = set()
        self._was_up = False
        self.calls_by_trunk: Mapping[str, int] | None = None
        self._comparisons = 0
        # The number of the connection over which all limits were set last.
        self._synced_connection = 0

    @property
    def has_compared(self) -> bool:
        """Whether calls that Asterisk does not have are settled by now: that takes two of its lists."""
        return self._comparisons >= LISTS

    async def run(self, stop: asyncio.Event) -> None:
        """Takes in the end spool and reconciles, until `stop` is set."""
        while not stop.is_set():
            self._link.came_up.clear()
            try:
                if self._keepership.is_ours:
                    await self._spool.take_in()
                    await self._round()
                else:
                    self._leave_to_others()
            except (AmiError, StorageError) as error:
                log.warning("reconciliation_failed", reason=str(error))
                self._forget_last_list()
            # At once after a gap of the link: reports of that time were lost.
            await wait_for_any((stop, self._link.came_up), self._interval if self._was_up else CHECK_LINK_SECONDS)

    async def _round(self) -> None:
        if not self._link.is_up:
            self._forget_last_list()
            self._was_up = False
            return
        asked, asterisk = self._clock.timestamp(), self._keepership.keeper.asterisk
        channels = await list_channels(self._link)
        self.calls_by_trunk = channels.by_trunk
        compared = await self._storage.run(compare_with_asterisk, channels, asked.boot_ms, asterisk)
        for found in compared.found:
            await self._begin(found)
        await self._settle(compared.missing & self._missing)
        self._missing = compared.missing
        await self._hang_up(compared.unmetered & self._over)
        self._over = compared.unmetered
        self._was_up = True
        self._comparisons += 1
        # `_was_up` would not do: the link may have been lost and made again between two rounds.
        if self._synced_connection != self._link.connections:
            self._synced_connection = self._link.connections
            await self._keeper.resync()
        await self._keeper.review()

    def _leave_to_others(self) -> None:
        """Prepares for the moment at which this engine becomes the keeper: then all limits must be set again."""
        self._forget_last_list()
        self._was_up = False
        self._comparisons = self._synced_connection = 0

    def _forget_last_list(self) -> None:
        self._missing.clear()
        self._over.clear()
        self.calls_by_trunk = None

    async def _begin(self, found: FoundTalking) -> None:
        """Notes that a call talks whose answer was not reported.

        Raises AmiUnavailable; a later round finds the call again.
        """
        at = self._clock.timestamp()
        left_ms = await _left_ms(self._link, found.callee_channel)
        now = await asterisk_now(self._link)
        booking_id = await self._storage.run(begin_found, found, at, left_ms=left_ms, asterisk_now=now)
        log.info("call_found_talking", call=found.call_id, left_ms=left_ms)
        if booking_id is not None:
            # Its lease may have been lowered at the moment of the answer, and not booked.
            self._keeper.differs(BookingId(booking_id))

    async def _hang_up(self, over: set[CallId]) -> None:
        for call_id in sorted(over):
            log.warning("settled_call_still_up", call=call_id)
            with suppress(AmiRefused):  # the call has just ended
                await self._link.hang_up(call_id)

    async def _settle(self, vanished: set[CallId]) -> None:
        if not vanished:
            return
        # An end report in the spool says more than the absence of a channel, so it is taken in first.
        await self._spool.take_in()
        now, ordered = self._clock.now(), sorted(vanished)
        for first in range(0, len(ordered), SETTLED_AT_ONCE):
            some = frozenset(ordered[first : first + SETTLED_AT_ONCE])
            for settlement in await self._storage.run(settle_vanished, some, now, self._policy):
                log.warning("call_vanished", cdr=settlement.cdr.id, seconds=settlement.cdr.duration)
                self._keeper.settled(settlement)
