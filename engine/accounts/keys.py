"""API keys: creation, digest, last use, revocation."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from engine.accounts.accounts import account_of, sandbox_of
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.runtime.clock import Clock
from engine.runtime.ids import new_id
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

LIVE_PREFIX = "rn_live_"
TEST_PREFIX = "rn_test_"
WRITE_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created.

    Attributes:
        id: The key's id, for listing and revoking.
        account_id: The account, or its sandbox, that the key opens.
        secret: The key itself. It is shown once; the database has only its digest.
    """

    id: str
    account_id: AccountId
    secret: str


def key_digest(secret: str, pepper: str) -> str:
    """Returns the key's HMAC-SHA256 in hex. A slow hash would add only load, for a key has 256 random bits."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def create_key(tx: Transaction, account: str, pepper: str, now: EpochMs, *, test: bool = False) -> NewKey:
    """Creates an API key.

    Args:
        tx: The transaction.
        account: Id or name of the account.
        pepper: The secret with which digests of keys are made.
        now: The present time.
        test: Create a key to the account's sandbox. The first such key also creates the sandbox.

    Raises:
        InvalidInput: There is no such account, or it is closed.
    """
    tx.accounts.lock(account_of(tx, account).id)  # who closes the account revokes the keys that it has by then
    found = account_of(tx, account)
    if found.closed_at is not None:
        raise InvalidInput([f"the account {found.name!r} is closed for good"])
    if test:
        found = sandbox_of(tx, found.id, now)
    secret = (TEST_PREFIX if found.test_of else LIVE_PREFIX) + secrets.token_urlsafe(32)
    key = NewKey(new_id("key"), found.id, secret)
    tx.accounts.insert_key(
        key_id=key.id, account_id=found.id, digest=key_digest(secret, pepper), hint=secret[-4:], now=now
    )
    return key


def keys_of(tx: Transaction, account: str) -> list[dict[str, Any]]:
    """Returns an account's keys, oldest first, then those of its sandbox. Revoked keys are included.

    Args:
        tx: The transaction.
        account: Id or name of the account.

    Raises:
        InvalidInput: There is no such account.
    """
    found = account_of(tx, account)
    sandbox_id = tx.sandboxes.beside(found.id)
    own = [row | {"is_test": found.test_of is not None} for row in tx.accounts.keys_of(found.id)]
    return own + [row | {"is_test": True} for row in (tx.accounts.keys_of(sandbox_id) if sandbox_id else [])]


def note_key_use(tx: Transaction, used: Mapping[str, EpochMs]) -> None:
    """Stores when keys were last used.

    Args:
        tx: The transaction.
        used: The time of the last use by key id.
    """
    for key_id, at in used.items():
        tx.accounts.note_key_use(key_id, at)


def revoke_key(tx: Transaction, key_id: str, now: EpochMs) -> EpochMs:
    """Revokes a key. A key that is revoked already keeps the earlier time.

    Returns:
        Since when the key is revoked.

    Raises:
        InvalidInput: There is no such key.
    """
    tx.accounts.revoke_key(key_id, now)
    revoked_at = tx.accounts.revoked_at(key_id)
    if revoked_at is None:
        raise InvalidInput([f"there is no key {key_id!r}: `keys list` shows the ids"])
    tx.withdraw(Kind.KEY, key_id)
    return revoked_at


class KeyUse:
    """Collects when each key was last used, and writes it to the database once a minute.

    Only existing keys are noted, so the memory is bounded by the number of keys.
    """

    def __init__(self, storage: Storage, clock: Clock, *, write_seconds: float = WRITE_SECONDS) -> None:
        self._storage = storage
        self._clock = clock
        self._write_seconds = write_seconds
        self._unwritten: dict[str, EpochMs] = {}

    def used(self, key_id: str) -> None:
        """Notes that the key was used just now."""
        self._unwritten[key_id] = self._clock.now()

    async def run(self, stop: asyncio.Event) -> None:
        """Writes once a minute until `stop`, and once at the end. A crash loses at most the last minute."""
        while not stop.is_set():
            await wait_for(stop, self._write_seconds)
            await self._write()

    async def _write(self) -> None:
        used, self._unwritten = self._unwritten, {}
        if not used:
            return
        try:
            await self._storage.run(note_key_use, used)
        except StorageError as error:
            log.warning("key_use_not_written", error=type(error).__name__)
            self._keep(used)

    def _keep(self, used: Mapping[str, EpochMs]) -> None:
        self._unwritten = {**used, **self._unwritten}
