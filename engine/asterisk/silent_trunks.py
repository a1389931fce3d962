"""Notices a trunk that sends nothing at all, so that a call takes its next way, or gets its 503, early.

A trunk that is dead without anybody knowing sends no answer to an INVITE over UDP. Asterisk waits for one for 32 s and
lets no setting shorten that below 6.4 s. Only the dialplan could give up earlier, but it does not see a `100 Trying`,
which shows that the trunk is alive: it would give up a call that is about to ring. Asterisk keeps every answer in
HANGUPCAUSE, though, where the manager interface can see it. So the engine looks once at each attempt, and sends the
call on if no answer came: to its next way, or to its end.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError
from engine.domain.ids import CallId
from engine.runtime.periodic import wait_for_any

log = structlog.get_logger(__name__)

# The INVITE was sent at 0, 0.5 and 1.5 s by then (RFC 3261 section 17.1.1.2).
SILENT_SECONDS = 1.8
# Where the dialplan goes on after an attempt, see asterisk_conf/drop_in/extensions_rented_numbers.conf.
CONTEXT, EXTENSION, LABEL = "rented-numbers", "0", "tried"
# Its variables, and the function that names the channels from which an answer came.
TRIED, ANSWERS = "RN_TRIED", "HANGUPCAUSE_KEYS()"
LONGEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at a call that is due.

    Attributes:
        due: When, by the monotonic clock.
        call_id: The call.
        tried: What TRIED was when the attempt began; None if it began just when the look was planned.
    """

    due: float
    call_id: CallId
    tried: str | None


class SilentTrunks:
    """Looks at calls while `run` runs."""

    def __init__(self, link: AmiLink) -> None:
        self._link = link
        # In the order of their times: every look is planned for the same time ahead.
        self._looks: deque[_Look] = deque()
        self._planned = asyncio.Event()

    def watch(self, call_id: CallId) -> None:
        """Begins to look at a call whose routes Asterisk has just got."""
        self._plan(call_id, "")

    async def run(self, stop: asyncio.Event) -> None:
        """Looks at calls until `stop` is set."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                self._planned.clear()
                while self._looks and self._looks[0].due <= time.monotonic():
                    tasks.create_task(self._look(self._looks.popleft()))
                wait = self._looks[0].due - time.monotonic() if self._looks else LONGEST_WAIT_SECONDS
                # The next look of a waiting queue is known, so only an empty one has to be woken.
                await wait_for_any((stop,) if self._looks else (stop, self._planned), max(wait, 0.0))

    def _plan(self, call_id: CallId, tried: str | None) -> None:
        self._looks.append(_Look(time.monotonic() + SILENT_SECONDS, call_id, tried))
        self._planned.set()

    async def _look(self, look: _Look) -> None:
        """Sends a call on if its trunk is silent. Does nothing if the call has ended or Asterisk cannot be reached."""
        try:
            if await self._get(look.call_id, ANSWERS):
                return
            tried = await self._get(look.call_id, TRIED)
            if look.tried not in {None, tried}:
                # An earlier attempt has failed meanwhile, and this one may have begun just now.
                self._plan(look.call_id, tried)
                return
            await self._link.action("Redirect", Channel=look.call_id, Context=CONTEXT, Exten=EXTENSION, Priority=LABEL)
        except AmiError:
            return
        log.warning("trunk_silent", call=look.call_id)
        self._plan(look.call_id, None)

    async def _get(self, channel: str, variable: str) -> str:
        answer = await self._link.action("Getvar", Channel=channel, Variable=variable)
        return str(answer.value)
