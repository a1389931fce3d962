"""Sandboxes: accounts for trying out, with a clock of their own. The schema calls them worlds."""

from dataclasses import dataclass, replace

from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.times import EpochMs, Timestamp
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Cdr, cdr_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox account.

    Attributes:
        account_id: The sandbox's own account.
        clock_ahead_ms: How far its clock is ahead of the machine's, in milliseconds.
        test_of: The customer's account that it belongs to.
    """

    account_id: AccountId
    clock_ahead_ms: int
    test_of: AccountId

    def now(self, now: EpochMs) -> EpochMs:
        """Translates an instant of the machine's clock to the sandbox's clock."""
        return EpochMs(now + self.clock_ahead_ms)

    def timestamp(self, at: Timestamp) -> Timestamp:
        """Translates the wall clock of a timestamp. Time since boot measures durations and is the same everywhere."""
        return replace(at, wall_ms=self.now(at.wall_ms))


class Sandboxes(Table):
    """Sandboxes, and what is done in them by their own clocks."""

    def of(self, account_id: AccountId) -> Sandbox | None:
        """Returns the sandbox that the account is; None for a customer's account and for an unknown one."""
        row = self._sql.world_of_account(self._db, account_id=account_id)
        return Sandbox(**row) if row else None

    def beside(self, account_id: AccountId) -> AccountId | None:
        """Returns the sandbox account of a customer's account."""
        found: AccountId | None = self._sql.world_beside_account(self._db, account_id=account_id)
        return found

    def page(self, after: str, limit: int) -> list[Sandbox]:
        """Returns the sandboxes of customers' accounts with ids greater than `after`, in the order of these ids."""
        return [Sandbox(**row) for row in self._sql.worlds_page(self._db, after=after, at_most=limit)]

    def timestamp(self, account_id: AccountId, at: Timestamp) -> Timestamp:
        """Translates a timestamp of the machine to the account's clock."""
        sandbox = self.of(account_id)
        return at if sandbox is None else sandbox.timestamp(at)

    def now(self, account_id: AccountId, now: EpochMs) -> EpochMs:
        """Translates an instant of the machine's clock to the account's clock."""
        sandbox = self.of(account_id)
        return now if sandbox is None else sandbox.now(now)

    def set_clock(self, sandbox: Sandbox) -> None:
        """Stores how far the sandbox's clock is ahead."""
        self._sql.set_clock_ahead(self._db, account_id=sandbox.account_id, clock_ahead_ms=sandbox.clock_ahead_ms)

    def expired_before(self, account_id: AccountId, instant: EpochMs, limit: int) -> list[Booking]:
        """Returns a sandbox's bookings that expired up to `instant` by its clock, the earliest first."""
        rows = self._sql.bookings_of_account_expired_before(
            self._db, account_id=account_id, before=instant, at_most=limit
        )
        return [booking_from_row(row) for row in rows]

    def record_of(self, call_id: CallId) -> Cdr | None:
        """Returns the record of a simulated call."""
        row = self._sql.cdr_by_call(self._db, call_id=call_id)
        return cdr_from_row(row) if row else None
