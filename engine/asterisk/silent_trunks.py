"""Notices a trunk that sends nothing at all, so that a call takes its next way, or gets its 503, early.

A trunk that is dead without anybody knowing sends no answer to an INVITE over UDP. Asterisk waits for one for 32 s and
lets no setting shorten that below 6.4 s. Only the dialplan could give up earlier, but it does not see a `100 Trying`,
which shows that the trunk is alive: it would give up a call that is about to ring. Asterisk keeps every answer in
HANGUPCAUSE, though, where the manager interface can see it. So the engine looks once at each attempt of a call that
still rings, and sends the call on if no answer came: to its next way, or to its end.

The look and the order to go on are two round trips. A carrier that answers in between is cut off, so they follow each
other at once, and a slow manager interface only means another look.
"""

import asyncio
import heapq
import time
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError
from engine.config.tuning import TRUNK_SILENT_SECONDS
from engine.domain.ids import CallId
from engine.runtime.periodic import wait_for, woken_to_stop

log = structlog.get_logger(__name__)

# Where a name is resolved or a connection is made first: one lost segment costs a second (RFC 6298 section 2).
SLOW_SECONDS = 4.0
# What a look may take, so that its result still holds.
FRESH_SECONDS = 0.1
# After it was sent on, a call begins its next attempt within this time.
NEXT_ATTEMPT_SECONDS = 1.0
# Where the dialplan goes on after an attempt, see asterisk_conf/drop_in/extensions_rented_numbers.conf.
CONTEXT, EXTENSION, LABEL = "rented-numbers", "0", "tried"
# Its variables, and the function that names the channels from which an answer came.
TRUNK, TRIED, ANSWERS = "RN_TRUNK", "RN_TRIED", "HANGUPCAUSE_KEYS()"
# It is set when no way is left: then the caller hears why, and the call must be left alone.
REFUSED = "RN_CAUSE"
LONGEST_WAIT_SECONDS = 1.0
# Looks that are due within this time of each other share a round of the loop.
ROUND_SECONDS = 0.05


@dataclass(frozen=True, slots=True, order=True)
class _Look:
    """A look at a call.

    Attributes:
        due: When, by the monotonic clock.
        call_id: The call.
        tried: What TRIED is during the attempt.
        since: Since when the attempt is known.
    """

    due: float
    call_id: CallId
    tried: str
    since: float


class SilentTrunks:
    """Looks at calls while `run` runs.

    Args:
        link: The manager interface.
        slow: The trunks that get SLOW_SECONDS, if that is longer.
        silent_seconds: The time for which a trunk may send nothing.
    """

    def __init__(
        self, link: AmiLink, slow: Collection[str] = (), *, silent_seconds: float = TRUNK_SILENT_SECONDS
    ) -> None:
        self._link = link
        self._slow = frozenset(slow)
        self._silent_seconds = silent_seconds
        self._looks: list[_Look] = []
        # Calls for which a look is planned.
        self._watched: set[CallId] = set()
        self._planned = asyncio.Event()

    def watch(self, call_id: CallId) -> None:
        """Begins to look at a call whose routes Asterisk has just got."""
        self._begin(call_id, "")

    def leave(self, call_id: CallId) -> None:
        """Takes note that a call was answered or has ended, so that no look is needed."""
        self._watched.discard(call_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks at calls until `stop` is set."""
        async with asyncio.TaskGroup() as tasks:
            with woken_to_stop(self._planned, stop):
                while not stop.is_set():
                    self._planned.clear()
                    while self._looks and self._looks[0].due <= time.monotonic():
                        look = heapq.heappop(self._looks)
                        if look.call_id in self._watched:
                            self._watched.discard(look.call_id)
                            tasks.create_task(self._look(look, stop))
                    wait = self._looks[0].due - time.monotonic() if self._looks else LONGEST_WAIT_SECONDS
                    await wait_for(self._planned, max(wait, ROUND_SECONDS))

    def _begin(self, call_id: CallId, tried: str) -> None:
        now = time.monotonic()
        self._plan(_Look(now + self._silent_seconds, call_id, tried, now))

    def _plan(self, look: _Look) -> None:
        heapq.heappush(self._looks, look)
        self._watched.add(look.call_id)
        if self._looks[0] is look:
            self._planned.set()

    async def _look(self, look: _Look, stop: asyncio.Event) -> None:
        """Sends a call on if its trunk is silent. Does nothing if the call has ended or Asterisk cannot be reached."""
        try:
            [answers] = await self._get(look.call_id, ANSWERS)
            if answers:
                return  # as with nearly every call
            began = time.monotonic()
            before, trunk, answers, refused, after = await self._get(
                look.call_id, TRIED, TRUNK, ANSWERS, REFUSED, TRIED
            )
            now = time.monotonic()
            if answers or refused:
                return
            if not before == after == look.tried:
                self._begin(look.call_id, after)  # an earlier attempt has failed meanwhile
                return
            due = look.since + max(self._silent_seconds, SLOW_SECONDS if trunk in self._slow else 0)
            if now < due or now - began > FRESH_SECONDS:
                self._plan(_Look(max(due, now + FRESH_SECONDS), look.call_id, look.tried, look.since))
                return
            await self._link.action("Redirect", Channel=look.call_id, Context=CONTEXT, Exten=EXTENSION, Priority=LABEL)
            log.warning("trunk_silent", call=look.call_id, trunk=trunk)
            await self._watch_next(look, stop)
        except AmiError:
            return

    async def _watch_next(self, look: _Look, stop: asyncio.Event) -> None:
        """Begins to look at the next attempt, once the dialplan has noted the failed one. Raises AmiError."""
        until = time.monotonic() + NEXT_ATTEMPT_SECONDS
        while time.monotonic() < until and not stop.is_set():
            [tried] = await self._get(look.call_id, TRIED)
            if tried != look.tried:
                self._begin(look.call_id, tried)
                return
            await asyncio.sleep(NEXT_ATTEMPT_SECONDS / 20)

    async def _get(self, channel: str, *variables: str) -> list[str]:
        """Reads variables in one go, in their order. Raises AmiError."""
        ask = self._link.action
        answers = await asyncio.gather(*(ask("Getvar", Channel=channel, Variable=each) for each in variables))
        return [str(each.value) for each in answers]
