"""The tables of accounts and of their API keys."""

from dataclasses import dataclass
from typing import Any

from engine.domain.account_limits import AccountLimits, OwnLimits, limits_in_force
from engine.domain.account_state import AccountState, state_of
from engine.domain.ids import AccountId
from engine.domain.notifications import EventType
from engine.domain.times import DAY_MS, EpochMs
from engine.storage.columns import PARTS
from engine.storage.table import Row, Table, fields_of

# An account's bookings and numbers are counted at least up to here, which takes some milliseconds.
MIN_COUNT_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Account:
    """A customer's account, or a sandbox.

    Attributes:
        test_of: The customer's account that the sandbox belongs to. None: this is a customer's account.
        suspended_at: When it was suspended, or closed without having been suspended. None: it is active.
        suspended_reason: The operator's words.
        closed_at: When it was closed.
    """

    id: AccountId
    name: str
    webhook_secret: str
    created_at: EpochMs
    test_of: AccountId | None = None
    suspended_at: EpochMs | None = None
    suspended_reason: str | None = None
    closed_at: EpochMs | None = None

    @property
    def state(self) -> AccountState:
        """Its state."""
        return state_of(self.suspended_at, self.closed_at)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A valid API key.

    Attributes:
        account_id: The account that the key opens.
        test_of: The customer's account, if `account_id` is a sandbox.
        clock_ahead_ms: How far the account's clock is ahead of the machine's, in milliseconds. Only sandboxes have a
            clock of their own.
        requests_per_minute: The customer's own limit; None: the operator's applies.
        is_suspended: Whether the account is suspended.
    """

    id: str
    account_id: AccountId
    test_of: AccountId | None = None
    clock_ahead_ms: int = 0
    requests_per_minute: int | None = None
    is_suspended: bool = False


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account without its secret.

    Attributes:
        events: Optional events that the account has chosen, in the order of EventType.
        frame_origin: The origin whose pages may show the portal in a frame; None: no page may.
        bookings_held: Number of its bookings, including expired ones in their grace period.
        numbers_in_quarantine: Number of the numbers that it gave back and that count against it.
        new_bookings: Number of the bookings that it has made within 24 hours.
        calls_up: Number of its calls that are up.
        limits: The limits in force.
        suspended_at: When it was suspended. None: it is active.
        closed_at: When it was closed.
    """

    id: AccountId
    name: str
    events: list[EventType]
    frame_origin: str | None
    created_at: EpochMs
    bookings_held: int
    numbers_in_quarantine: int
    new_bookings: int
    calls_up: int
    limits: AccountLimits
    suspended_at: EpochMs | None
    closed_at: EpochMs | None

    @property
    def state(self) -> AccountState:
        """Its state."""
        return state_of(self.suspended_at, self.closed_at)


class Accounts(Table):
    """Accounts and API keys."""

    def insert(self, account: Account) -> None:
        """Adds an account."""
        self._sql.insert_account(self._db, **fields_of(account))

    def by_name(self, name: str) -> Account | None:
        """Returns the account with that name."""
        row = self._sql.account_by_name(self._db, name=name)
        return Account(**row) if row else None

    def by_id(self, account_id: AccountId) -> Account | None:
        """Returns the account with that id."""
        row = self._sql.account_by_id(self._db, id=account_id)
        return Account(**row) if row else None

    def all(self) -> list[dict[str, Any]]:
        """Returns names, instants, states and own max_bookings of all accounts, in the order of their ids."""
        return [dict(row) for row in self._sql.accounts_list(self._db)]

    def lock(self, account_id: AccountId) -> bool:
        """Keeps other transactions from locking and from changing the account, until the end of this one.

        Returns:
            Whether others may have written since this transaction began to read.
        """
        self._sql.lock_account(self._db, id=account_id)
        return not self._sql.has_one_writer

    def rename(self, account_id: AccountId, name: str) -> None:
        """Stores another name, which must be free."""
        self._sql.rename_account(self._db, id=account_id, name=name)

    def suspend(self, account_id: AccountId, reason: str | None, now: EpochMs) -> None:
        """Suspends an account and its sandbox, or stores another reason of one that is suspended."""
        self._sql.suspend_account(self._db, id=account_id, reason=reason, now=now)

    def resume(self, account_id: AccountId) -> None:
        """Lifts the suspension of an account and its sandbox, which must not be closed."""
        self._sql.resume_account(self._db, id=account_id)

    def close(self, account_id: AccountId, now: EpochMs) -> bool:
        """Closes an account and its sandbox. Returns False if there is none, or it is closed: it keeps its instant."""
        return bool(self._sql.close_account(self._db, id=account_id, now=now))

    def own_limits(self, account_id: AccountId) -> dict[str, int]:
        """Returns the limits that an account has of its own. A sandbox has those of its customer's account."""
        return own_limits_from_row(self._sql.account_limits(self._db, account_id=account_id))

    def set_frame_origin(self, account_id: AccountId, origin: str | None) -> None:
        """Stores the origin whose pages may show the portal in a frame; None: no page may."""
        self._sql.set_frame_origin(self._db, account_id=account_id, origin=origin)

    def limits(self, account_id: AccountId, default: AccountLimits) -> AccountLimits:
        """Returns the limits in force for an account."""
        return limits_in_force(self.own_limits(account_id), default)

    def stored_bytes(self, account_id: AccountId) -> int:
        """Returns how many bytes the account's requests have stored (migration 0018 says what counts)."""
        return int(self._sql.stored_bytes_of(self._db, account_id=account_id) or 0)

    def set_own_limits(self, account_id: AccountId, own: OwnLimits) -> None:
        """Stores all limits that a customer's account has of its own. For the others it has the operator's."""
        unset = dict.fromkeys(PARTS["limits"])
        self._sql.set_account_limits(self._db, account_id=account_id, **{**unset, **own})

    def summary(self, account_id: AccountId, limits: AccountLimits, now: EpochMs) -> AccountSummary:
        """Returns an account, which must exist, with what it uses of its limits."""
        row = self._sql.account_seen(self._db, **summary_parameters(account_id, limits, now))
        return account_summary_from_row(row, limits)

    def insert_key(self, *, key_id: str, account_id: AccountId, digest: str, hint: str, now: EpochMs) -> None:
        """Adds an API key. Only its digest is stored, and a hint by which its owner recognises it."""
        self._sql.insert_api_key(self._db, id=key_id, account_id=account_id, digest=digest, hint=hint, created_at=now)

    def keys_of(self, account_id: AccountId) -> list[dict[str, Any]]:
        """Returns an account's keys without their digests, in the order of their ids."""
        return [dict(row) for row in self._sql.api_keys_of(self._db, account_id=account_id)]

    def note_key_use(self, key_id: str, at: int) -> None:
        """Stores when a key was used, unless a later use is stored already."""
        self._sql.note_api_key_use(self._db, id=key_id, at=at)

    def revoke_key(self, key_id: str, now: EpochMs) -> bool:
        """Revokes a key. Returns False for an unknown one and for a revoked one, which keeps its instant."""
        return bool(self._sql.revoke_api_key(self._db, id=key_id, now=now))

    def revoked_at(self, key_id: str) -> EpochMs | None:
        """Returns when the key was revoked; None for a valid key and for an unknown one."""
        instant: EpochMs | None = self._sql.api_key_revoked_at(self._db, id=key_id)
        return instant


def own_limits_from_row(row: Row | None) -> dict[str, int]:
    """Returns the limits of a row of `account_limits` that are set."""
    return {} if row is None else {name: row[name] for name in PARTS["limits"] if row[name] is not None}


def summary_parameters(account_id: AccountId, limits: AccountLimits, now: EpochMs) -> dict[str, Any]:
    """Returns the parameters of `account_seen`. An account can be beyond a limit that the operator has lowered."""
    at_most = max(MIN_COUNT_LIMIT, 2 * limits.max_bookings, 2 * limits.new_bookings_a_day)
    return {"account_id": account_id, "now": now, "since": now - DAY_MS, "at_most": at_most}


def account_summary_from_row(row: Row, limits: AccountLimits) -> AccountSummary:
    """Builds the summary from a row of `account_seen`."""
    chosen = chosen_events_from_column(row["events"])
    return AccountSummary(**{**row, "events": [kind for kind in EventType if kind in chosen]}, limits=limits)


def chosen_events_from_column(events: str | None) -> frozenset[str]:
    """Returns the optional events that the column `accounts.events` lists. Most accounts have chosen none."""
    return frozenset(events.split(",")) if events else frozenset()
