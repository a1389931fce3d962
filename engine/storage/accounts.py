"""The tables of accounts and of their API keys."""

from dataclasses import dataclass
from typing import Any

from engine.domain.events import EventType
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.table import Row, Table, fields_of


@dataclass(frozen=True, slots=True)
class Account:
    """`test_of`: the account whose test world it is; None: a customer's own."""

    id: AccountId
    name: str
    webhook_secret: str
    created_at: EpochMs
    test_of: AccountId | None = None


class Accounts(Table):
    def insert(self, account: Account) -> None:
        self._sql.insert_account(self._db, **fields_of(account))

    def by_name(self, name: str) -> Account | None:
        row = self._sql.account_by_name(self._db, name=name)
        return Account(**row) if row else None

    def by_id(self, account_id: AccountId) -> Account | None:
        row = self._sql.account_by_id(self._db, id=account_id)
        return Account(**row) if row else None

    def insert_key(self, *, key_id: str, account_id: AccountId, digest: str, hint: str, now: EpochMs) -> None:
        self._sql.insert_api_key(self._db, id=key_id, account_id=account_id, digest=digest, hint=hint, created_at=now)

    def all(self) -> list[dict[str, Any]]:
        return list(self._sql.accounts_list(self._db))

    def keys_of(self, account_id: AccountId) -> list[dict[str, Any]]:
        """Without their digests."""
        return list(self._sql.api_keys_of(self._db, account_id=account_id))

    def note_key_use(self, key_id: str, at: int) -> None:
        """A later use that is noted already stays."""
        self._sql.note_api_key_use(self._db, id=key_id, at=at)

    def revoke_key(self, key_id: str, now: EpochMs) -> None:
        """A key that is revoked already stays revoked since then."""
        self._sql.revoke_api_key(self._db, id=key_id, now=now)

    def revoked_at(self, key_id: str) -> EpochMs | None:
        """None: not revoked, or no such key."""
        instant: EpochMs | None = self._sql.api_key_revoked_at(self._db, id=key_id)
        return instant


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that opens its account. `test_of`: the account beside which that is a test world, if it is one; its clock
    is so far ahead of the machine's."""

    id: str
    account_id: AccountId
    test_of: AccountId | None = None
    clock_ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account without its secret. `events`: those that it has chosen, in the order of EventType. `bookings_held`:
    those in their grace too."""

    id: AccountId
    name: str
    events: list[EventType]
    created_at: EpochMs
    bookings_held: int


def account_summary_from_row(row: Row) -> AccountSummary:
    chosen = chosen_events_from_column(row["events"])
    return AccountSummary(**{**row, "events": [kind for kind in EventType if kind in chosen]})


def chosen_events_from_column(events: str | None) -> frozenset[str]:
    """Of the column: most accounts have chosen nothing."""
    return frozenset(events.split(",")) if events else frozenset()
