"""What the operator's console reads, on connections of its own: it delays neither keys nor lists of the API."""

from typing import NamedTuple

from engine.domain.dispositions import Disposition
from engine.domain.times import EpochMs
from engine.domain.web_access import WebSession
from engine.runtime.ids import first_id
from engine.storage.calls import call_from_row
from engine.storage.operator_reads import OperatorReads
from engine.storage.overview import ALL_LIVE, LiveCall, WantedLive
from engine.storage.table import fields_of
from engine.storage.web_access import web_session_from_row


class CallsOfHour(NamedTuple):
    """Calls of one hour that ended alike.

    Attributes:
        hour: Hours since the beginning of the span.
        seconds: The charged seconds.
    """

    hour: int
    disposition: Disposition
    calls: int
    seconds: int


class ConsoleReads(OperatorReads):
    """Reads for the web pages."""

    async def web_session(self, digest: str) -> WebSession | None:
        """Returns the session with that digest, whether it may still be used or not."""
        row = await self._keys.run(self._sql.web_session_of_digest, digest=digest)
        return web_session_from_row(row) if row else None

    async def live_calls(self, limit: int, wanted: WantedLive = ALL_LIVE) -> list[LiveCall]:
        """Returns the calls that are up, ringing ones included, oldest first."""
        rows = await self._lists.run(self._sql.overview_live_calls, **fields_of(wanted), at_most=limit)
        return [LiveCall(account, service, call_from_row(call)) for *call, service, account in rows]

    async def calls_by_hour(self, since: EpochMs, limit: int) -> list[CallsOfHour]:
        """Sums up real calls that came in since an instant, the newest `limit` records at most."""
        rows = await self._counts.run(
            self._sql.calls_by_hour, since=since, first_id=first_id("cdr", since), at_most=limit
        )
        return [CallsOfHour(row["hour"], Disposition(row["disposition"]), row["calls"], row["seconds"]) for row in rows]
