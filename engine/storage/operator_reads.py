"""Sums over many rows, which only the operator reads."""

from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.domain.times import Span
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


class OperatorReads(Reads):
    """Reads, and sums for the operator. They have the connection of other counts."""

    async def calls_by_number(self, account_id: AccountId, span: Span) -> dict[E164, CallSums]:
        """Sums up an account's calls that came in within the span, by the rented number."""
        rows = await self._counts.run(
            self._sql.calls_by_number, account_id=account_id, since=span.since, until=span.until
        )
        return {row["service"]: CallSums(row["calls"], row["answered"], row["seconds"]) for row in rows}
