"""Figures of the whole database for the metrics, read on a connection of their own."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from engine.domain.times import EpochMs
from engine.storage.database import Database, read_connection, read_statements

# How long one statement may run; there are five of them.
STATEMENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LiveSums:
    """Calls that are up and the seconds that they have leased. Each holds one lease."""

    ringing: int
    talking: int
    ringing_seconds: int
    talking_seconds: int


@dataclass(frozen=True, slots=True)
class SilentSums:
    """Asterisks that have calls but no engine, and the seconds that those calls have leased."""

    asterisks: int
    seconds: int


@dataclass(frozen=True, slots=True)
class BookingCounts:
    """Bookings that are not gone, by their status."""

    active: int
    expired: int


class GaugeReads:
    """Reads the figures. Use it as an asynchronous context manager.

    Every method raises StorageTooSlow when its statement takes longer than it may, and StorageUnavailable when the
    database fails. Nothing of sandboxes counts: their numbers, calls and time are simulated.

    Args:
        database: The database.
        statement_seconds: How long a statement may run.
    """

    def __init__(self, database: Database, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self._sql: Any = read_statements(database)
        self._connection = read_connection(database, statement_seconds)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def live(self) -> LiveSums:
        """Sums up the calls that are up."""
        calls, seconds, talking, talking_seconds = await self._connection.run(self._sql.live_call_sums)
        return LiveSums(calls - talking, talking, seconds - talking_seconds, talking_seconds)

    async def silent(self, since: EpochMs) -> SilentSums:
        """Sums up the calls in Asterisks of which no engine was heard of since an instant."""
        return SilentSums(*await self._connection.run(self._sql.silent_asterisk_sums, since=since))

    async def pool(self) -> dict[tuple[str | None, str], int]:
        """Counts the numbers by country and state. Reads the whole pool."""
        rows = await self._connection.run(self._sql.numbers_by_country_and_state)
        return {(row["country"], row["state"]): row["numbers"] for row in rows}

    async def bookings(self, now: EpochMs) -> BookingCounts:
        """Counts the bookings that are not gone."""
        row = await self._connection.run(self._sql.booking_counts, now=now)
        return BookingCounts(row["present"] - row["expired"], row["expired"])

    async def oldest_due_at(self) -> EpochMs | None:
        """Returns when the oldest callback that waits in the outbox was or is due; None if none waits."""
        due_at: EpochMs | None = await self._connection.run(self._sql.oldest_callback_due_at)
        return due_at
