"""The routes that the engine is sending to Asterisk at this moment."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.domain.ids import CallId
from engine.runtime.periodic import wait_for


class PendingRoutes:
    """Lets other tasks wait until Asterisk has received a route."""

    def __init__(self) -> None:
        # A call id has several if two Asterisks use the same one.
        self._sent: dict[CallId, set[asyncio.Event]] = {}

    @contextmanager
    def sending(self, call_id: CallId) -> Iterator[None]:
        """Marks the route of a call as pending inside its `with`."""
        sent = asyncio.Event()
        pending = self._sent.setdefault(call_id, set())
        pending.add(sent)
        try:
            yield
        finally:
            pending.discard(sent)
            if not pending:
                del self._sent[call_id]
            sent.set()

    async def until_sent(self, call_id: CallId, seconds: float) -> None:
        """Waits until no route of the call is pending, at most `seconds` for each that is pending now."""
        for sent in tuple(self._sent.get(call_id, ())):
            await wait_for(sent, seconds)
