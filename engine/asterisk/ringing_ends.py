"""Ends calls that ring, so that newcomers can take their places."""

import asyncio

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.call_variables import DIALED_PEER, NOT_TAKEN, TAKEN
from engine.asterisk.errors import AmiError
from engine.domain.call_ends import GIVES_WAY
from engine.domain.ids import CallId
from engine.runtime.periodic import wait_for

log = structlog.get_logger(__name__)

# After a hang-up command Asterisk reports the call's end well within this time. The newcomer waits for the report.
LONGEST_WAIT_SECONDS = 1.0


class RingingEnds:
    """Ends ringing calls one by one, and waits until their ends are settled.

    Asterisk ends the call first, and only its report settles the call: until then the call may still be answered.
    """

    def __init__(self, link: AmiLink) -> None:
        self._link = link
        self._awaited: dict[CallId, asyncio.Event] = {}

    def settled(self, call_id: CallId) -> None:
        """Takes note that a call is settled."""
        if awaited := self._awaited.get(call_id):
            awaited.set()

    async def end(self, call_id: CallId) -> None:
        """Ends a call, unless it has been answered meanwhile. Does nothing if Asterisk cannot be reached.

        Of several newcomers, the first one ends the call, and the others wait with it. If each of them ended it,
        Asterisk would refuse all but one, and these would be busy before the place is free.
        """
        if awaited := self._awaited.get(call_id):
            await wait_for(awaited, LONGEST_WAIT_SECONDS)
            return
        settled = self._awaited[call_id] = asyncio.Event()
        try:
            peer, taken = await asyncio.gather(
                *(self._link.action("Getvar", Channel=call_id, Variable=each) for each in (DIALED_PEER, TAKEN))
            )
            if peer.value and taken.value != NOT_TAKEN:
                return
            await self._link.hang_up(call_id, GIVES_WAY)
            log.info("ringing_call_gave_way", call=call_id)
            await wait_for(settled, LONGEST_WAIT_SECONDS)
        except AmiError:
            return
        finally:
            del self._awaited[call_id]
            settled.set()
