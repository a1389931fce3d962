"""Which calls are up, as Asterisk says; and what becomes of those that it does not know any more.

An answer that is late, cut or missing is never taken for "no calls": only a complete list counts, and a call has to
be missing from two of them, some seconds apart, before it is taken for over. By then its own report has come, or
lies in the journal, if there ever was one.
"""

import asyncio
from contextlib import suppress

import structlog
from panoramisk.message import Message

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError, AmiRefused, AmiUnavailable
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.wall_clock import asterisk_now
from engine.calls.end_spool import EndSpool
from engine.calls.reconciliation import FoundTalking, LiveChannels, begin_found, compare_with_asterisk, settle_vanished
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

# The first look comes as soon as Asterisk can be reached: after a crash of either, every lease waits for it.
LOOK_FOR_LINK_SECONDS = 0.2


async def ask(link: AmiLink) -> LiveChannels:
    """Raises AmiError, also when the list is not complete."""
    messages = await link.list("Status")
    if messages[-1].event != "StatusComplete" or not messages[-1].listitems.isdecimal():
        raise AmiUnavailable("the list of channels is not complete")
    channels = [message for message in messages if message.event == "Status"]
    if len(channels) != int(messages[-1].listitems):
        raise AmiUnavailable("the list of channels is not complete")
    return _presence(channels)


def _presence(channels: list[Message]) -> LiveChannels:
    # A callee's channel is linked to the caller's unique id, and has a bridge once the two talk.
    return LiveChannels(
        calls=frozenset(channel.uniqueid for channel in channels),
        talking={
            channel.linkedid: channel.uniqueid
            for channel in channels
            if channel.linkedid != channel.uniqueid and channel.bridgeid
        },
        callers=frozenset(channel.uniqueid for channel in channels if channel.linkedid == channel.uniqueid),
    )


async def _left_ms(link: AmiLink, channel: str) -> int | None:
    """What is left of the limit that Asterisk has for a channel; None when it does not say. Raises AmiUnavailable."""
    try:
        said = (await link.action("Getvar", Channel=channel, Variable="TIMEOUT(absolute)")).value
        return round(float(said) * 1000) or None  # 0: none was set
    except (AmiRefused, ValueError, OverflowError):
        return None


class Reconciler:
    """Compares the books with Asterisk every `interval` seconds while it can be reached."""

    def __init__(
        self,
        storage: SqliteStorage,
        link: AmiLink,
        clock: Clock,
        policy: Policy,
        keeper: LimitKeeper,
        journal: EndSpool,
        interval: float,
    ) -> None:
        self._storage = storage
        self._link = link
        self._clock = clock
        self._policy = policy
        self._keeper = keeper
        self._journal = journal
        self._interval = interval
        self._missing: set[CallId] = set()
        self._over: set[CallId] = set()
        self._was_up = False
        # The connection over which Asterisk was last told every limit.
        self._told_over = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            try:
                await self._journal.take_in()
                await self._round()
            except (AmiError, StorageError) as error:
                log.warning("not_reconciled", reason=str(error))
                self._missing.clear()
                self._over.clear()
            await wait_for(stop, self._interval if self._was_up else LOOK_FOR_LINK_SECONDS)

    async def _round(self) -> None:
        if not self._link.is_up:
            self._missing.clear()
            self._over.clear()
            self._was_up = False
            return
        asked = self._clock.timestamp()
        presence = await ask(self._link)
        compared = await self._storage.run(compare_with_asterisk, presence, asked.boot_ms)
        for found in compared.found:
            await self._begin(found)
        await self._settle(compared.missing & self._missing)
        self._missing = compared.missing
        await self._end(compared.unmetered & self._over)
        self._over = compared.unmetered
        self._was_up = True
        # Not "was it down when we last looked": it may have been lost and made again in between.
        if self._told_over != self._link.connections:
            self._told_over = self._link.connections
            await self._keeper.resync()
        await self._keeper.look_over()

    async def _begin(self, found: FoundTalking) -> None:
        """Raises AmiUnavailable: it is found again once Asterisk can be reached."""
        at = self._clock.timestamp()
        left_ms = await _left_ms(self._link, found.callee_channel)
        now = await asterisk_now(self._link)
        booking_id = await self._storage.run(begin_found, found, at, left_ms=left_ms, asterisk_now=now)
        log.info("call_found_talking", call=found.call_id, left_ms=left_ms)
        if booking_id is not None:
            self._keeper.changed(BookingId(booking_id))

    async def _end(self, over: set[CallId]) -> None:
        for call_id in sorted(over):
            log.warning("call_outlived_its_settlement", call=call_id)
            with suppress(AmiRefused):  # it has ended meanwhile
                await self._link.hang_up(call_id)

    async def _settle(self, vanished: set[CallId]) -> None:
        if not vanished:
            return
        await self._journal.take_in()
        now = self._clock.now()
        for settlement in await self._storage.run(settle_vanished, vanished, now, self._policy):
            log.warning("call_vanished", cdr=settlement.cdr.id, seconds=settlement.cdr.duration)
            self._keeper.settled(settlement)
