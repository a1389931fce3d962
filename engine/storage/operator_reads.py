"""Sums over many rows, which only the operator reads."""

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

from engine.domain.dispositions import Disposition
from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.domain.times import EpochMs, Span
from engine.runtime.ids import first_id
from engine.storage.keepers import KeptAsterisk
from engine.storage.reads import Reads


@dataclass(frozen=True, slots=True)
class CallSums:
    """The calls of a booking or of a number.

    Attributes:
        calls: All calls.
        answered: Those that were answered, and are charged.
        seconds: The charged seconds.
    """

    calls: int = 0
    answered: int = 0
    seconds: int = 0

    def __add__(self, other: "CallSums") -> "CallSums":
        return CallSums(self.calls + other.calls, self.answered + other.answered, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class BusyBooking:
    """The calls of one booking.

    Attributes:
        account: The name of its account.
        service: Its number at one of these calls.
    """

    booking_id: BookingId
    account: str
    service: E164
    sums: CallSums


# The country of numbers (ISO 3166); None where they belong to no single one.
Country: TypeAlias = str | None


class OperatorReads(Reads):
    """Reads, and sums for the operator. They have the connection of other counts."""

    async def calls_by_number(self, account_id: AccountId, span: Span) -> dict[E164, CallSums]:
        """Sums up an account's calls that came in within the span, by the rented number."""
        rows = await self._counts.run(
            self._sql.calls_by_number, account_id=account_id, since=span.since, until=span.until
        )
        return {row["service"]: CallSums(row["calls"], row["answered"], row["seconds"]) for row in rows}

    async def busiest_bookings(
        self, account_id: AccountId | None, since: EpochMs, limit: int, *, by_seconds: bool
    ) -> list[BusyBooking]:
        """Returns the bookings with the most calls or seconds that came in since an instant.

        Args:
            account_id: Only this account's; None: all but sandboxes'.
            since: From when on calls are counted.
            limit: The most bookings to return.
            by_seconds: Order by seconds and not by calls.
        """
        rows = await self._counts.run(
            self._sql.busiest_bookings, account_id=account_id, since=since, by_seconds=by_seconds, at_most=limit
        )
        return [
            BusyBooking(
                row["booking_id"],
                row["account"],
                row["service"],
                CallSums(row["calls"], row["answered"], row["seconds"]),
            )
            for row in rows
        ]

    async def numbers_by_country(self) -> dict[Country, dict[str, int]]:
        """Counts the numbers of each country by their state."""
        counts: dict[Country, dict[str, int]] = {}
        for row in await self._counts.run(self._sql.numbers_by_country):
            counts.setdefault(row["country"], {})[row["state"]] = row["numbers"]
        return counts

    async def taken_by_country(self, span: Span) -> Counter[Country]:
        """Counts the numbers of each country that bookings took within the span, each swap included."""
        rows = await self._counts.run(self._sql.taken_by_country, since=span.since, until=span.until)
        return Counter({row["country"]: row["numbers"] for row in rows})

    async def countries_rented_out(self) -> set[Country]:
        """Returns the countries of the numbers that bookings hold. Reads the whole pool."""
        return {row["country"] for row in await self._counts.run(self._sql.countries_rented_out)}

    async def left_by_country(self, span: Span) -> Counter[Country]:
        """Counts the numbers of each country that bookings left within the span, each swap included."""
        rows = await self._counts.run(self._sql.left_by_country, since=span.since, until=span.until)
        return Counter({row["country"]: row["numbers"] for row in rows})

    async def bookings_with_reverse(self, limit: int, *, speaks: bool) -> int:
        """Counts the bookings that need a carrier which asserts who calls, outside of sandboxes. Stops at `limit`.

        Args:
            limit: The most that are counted.
            speaks: Whether prompts are on, so that a pair with PINs needs no such carrier.
        """
        return int(await self._counts.run(self._sql.bookings_with_reverse, at_most=limit, speaks=int(speaks)))

    async def ends_of_quarantine_by_country(self, now: EpochMs, day_ms: int) -> dict[Country, Counter[int]]:
        """Counts the numbers whose quarantine ends within each day from now on; a day before now is negative."""
        counts: dict[Country, Counter[int]] = {}
        for row in await self._counts.run(self._sql.ends_of_quarantine_by_country, now=now, day_ms=day_ms):
            counts.setdefault(row["country"], Counter())[row["day"]] = row["numbers"]
        return counts

    async def endpoints_tried(self, since: EpochMs, limit: int) -> list[tuple[str, EpochMs, EpochMs | None]]:
        """Returns URL, last attempt and failing_since of customers' enabled endpoints, the last tried first."""
        rows = await self._counts.run(self._sql.endpoints_tried, since=since, at_most=limit)
        return [(row["url"], row["last_attempt_at"], row["failing_since"]) for row in rows]

    async def asterisks(self) -> list[KeptAsterisk]:
        """Returns the Asterisks of several engines on the database, with their calls."""
        return [KeptAsterisk(*row) for row in await self._counts.run(self._sql.asterisks)]

    async def dispositions(self, span: Span, limit: int) -> Counter[Disposition]:
        """Counts how the newest real calls ended that were recorded within the span, at most `limit` of them."""
        rows = await self._counts.run(
            self._sql.dispositions_between,
            first_id=first_id("cdr", span.since),
            last_id=first_id("cdr", span.until),
            at_most=limit,
        )
        return Counter({Disposition(row["disposition"]): row["calls"] for row in rows})
