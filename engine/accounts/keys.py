"""API keys: how they are made, recognised and revoked."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from engine.accounts.accounts import account_of, world_beside
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.runtime.clock import Clock
from engine.runtime.ids import new_id
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

LIVE_PREFIX = "rn_live_"


TEST_PREFIX = "rn_test_"


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is shown this once; only a digest of it is stored."""

    id: str
    account_id: AccountId
    secret: str


def key_digest(secret: str, pepper: str) -> str:
    """HMAC-SHA256 in hex. A key has 256 random bits, so a slow hash would add nothing but load."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def create_key(tx: Transaction, account: str, pepper: str, now: EpochMs, *, test: bool = False) -> NewKey:
    """`account`: id or name. `test`: a key to its test world, which is made with the first one.

    Raises InvalidInput when there is no such account.
    """
    found = world_beside(tx, account, now) if test else account_of(tx, account)
    secret = (TEST_PREFIX if found.test_of else LIVE_PREFIX) + secrets.token_urlsafe(32)
    key = NewKey(new_id("key"), found.id, secret)
    tx.accounts.insert_key(
        key_id=key.id, account_id=found.id, digest=key_digest(secret, pepper), hint=secret[-4:], now=now
    )
    return key


def keys_of(tx: Transaction, account: str) -> list[dict[str, Any]]:
    """The keys of an account, oldest first, revoked ones too; then those of its test world.

    Raises InvalidInput when there is no such account.
    """
    found = account_of(tx, account)
    of_world = tx.worlds.beside(found.id)
    own = [row | {"is_test": found.test_of is not None} for row in tx.accounts.keys_of(found.id)]
    return own + [row | {"is_test": True} for row in (tx.accounts.keys_of(of_world) if of_world else [])]


def note_key_use(tx: Transaction, used: Mapping[str, int]) -> None:
    """`used`: when each key was used, by its id."""
    for key_id, at in used.items():
        tx.accounts.note_key_use(key_id, at)


def revoke_key(tx: Transaction, key_id: str, now: EpochMs) -> int:
    """Returns since when it is revoked: an earlier time when it was so already. Raises InvalidInput for no key."""
    tx.accounts.revoke_key(key_id, now)
    revoked_at = tx.accounts.revoked_at(key_id)
    if revoked_at is None:
        raise InvalidInput([f"there is no key {key_id!r}: `keys list` shows the ids"])
    return revoked_at


WRITE_SECONDS = 60.0


class KeyUse:
    """Only keys that exist are noted, so there are never more entries than keys."""

    def __init__(self, storage: SqliteStorage, clock: Clock, *, write_seconds: float = WRITE_SECONDS) -> None:
        self._storage = storage
        self._clock = clock
        self._write_seconds = write_seconds
        self._unwritten: dict[str, int] = {}

    def used(self, key_id: str) -> None:
        self._unwritten[key_id] = self._clock.now()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, and then once more. A crash loses at most a minute of it."""
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

    def _keep(self, used: Mapping[str, int]) -> None:
        self._unwritten = {**used, **self._unwritten}


log = structlog.get_logger(__name__)
