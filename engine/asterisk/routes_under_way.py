"""Which calls Asterisk is being told the route of at this moment."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.domain.ids import CallId
from engine.runtime.periodic import wait_for


class RoutesUnderWay:
    """Lets others wait until Asterisk has been told a route."""

    def __init__(self) -> None:
        # Several of one call id, if two Asterisks use the same.
        self._being_told: dict[CallId, set[asyncio.Event]] = {}

    @contextmanager
    def telling(self, call_id: CallId) -> Iterator[None]:
        """Wraps the time in which Asterisk is being told the route of a call."""
        told = asyncio.Event()
        under_way = self._being_told.setdefault(call_id, set())
        under_way.add(told)
        try:
            yield
        finally:
            under_way.discard(told)
            if not under_way:
                del self._being_told[call_id]
            told.set()

    async def until_told(self, call_id: CallId, seconds: float) -> None:
        """Waits until Asterisk has been told the route of a call, for at most `seconds` for each that is under way."""
        for told in tuple(self._being_told.get(call_id, ())):
            await wait_for(told, seconds)
