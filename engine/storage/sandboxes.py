"""The tables as test worlds see them: accounts with a clock of their own."""

from dataclasses import dataclass, replace

from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.times import EpochMs, Timestamp
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Cdr, cdr_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`account_id`: the account that it is; `test_of`: the one beside which it stands. Its clock is so many
    milliseconds ahead of the machine's."""

    account_id: AccountId
    clock_ahead_ms: int
    test_of: AccountId

    def now(self, now: EpochMs) -> EpochMs:
        """`now`: by the machine's clock."""
        return EpochMs(now + self.clock_ahead_ms)

    def timestamp(self, at: Timestamp) -> Timestamp:
        """`at`: by the machine's clock. Ticks are for durations, and the same in all worlds."""
        return replace(at, wall_ms=self.now(at.wall_ms))


class Sandboxes(Table):
    def of(self, account_id: AccountId) -> Sandbox | None:
        """None: the account is a customer's own, or there is none."""
        row = self._sql.world_of_account(self._db, account_id=account_id)
        return Sandbox(**row) if row else None

    def timestamp(self, account_id: AccountId, at: Timestamp) -> Timestamp:
        """`at` by the clock that the account goes by."""
        world = self.of(account_id)
        return at if world is None else world.timestamp(at)

    def now(self, account_id: AccountId, now: EpochMs) -> EpochMs:
        """`now` by the clock that the account goes by."""
        world = self.of(account_id)
        return now if world is None else world.now(now)

    def beside(self, account_id: AccountId) -> AccountId | None:
        """The account that is the test world of a customer's own."""
        found: AccountId | None = self._sql.world_beside_account(self._db, account_id=account_id)
        return found

    def set_clock(self, world: Sandbox) -> None:
        self._sql.set_clock_ahead(self._db, account_id=world.account_id, clock_ahead_ms=world.clock_ahead_ms)

    def page(self, after: str, at_most: int) -> list[Sandbox]:
        """In the order of the accounts beside which they stand, after that one."""
        return [Sandbox(**row) for row in self._sql.worlds_page(self._db, after=after, at_most=at_most)]

    def expired_before(self, account_id: AccountId, instant: EpochMs, at_most: int) -> list[Booking]:
        rows = self._sql.bookings_of_account_expired_before(
            self._db, account_id=account_id, before=instant, at_most=at_most
        )
        return [booking_from_row(row) for row in rows]

    def record_of(self, call_id: CallId) -> Cdr | None:
        row = self._sql.cdr_by_call(self._db, call_id=call_id)
        return cdr_from_row(row) if row else None
