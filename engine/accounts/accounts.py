"""Accounts and API keys: what an operator makes. Plain functions over a transaction."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.callbacks.webhook_secrets import new_secret
from engine.domain.errors import InvalidInput
from engine.runtime.ids import new_id
from engine.storage.rows import Account
from engine.storage.transaction import Transaction

LIVE_PREFIX = "rn_live_"
TEST_PREFIX = "rn_test_"
MAX_NAME = 100
TEST_SUFFIX = " (test)"


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is shown this once; only a digest of it is stored."""

    id: str
    account_id: str
    secret: str


def key_digest(secret: str, pepper: str) -> str:
    """HMAC-SHA256 in hex. A key has 256 random bits, so a slow hash would add nothing but load."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def create_account(tx: Transaction, name: str, now: int, *, test_of: str | None = None) -> Account:
    """`test_of`: id of the account beside which this one is a test world.

    Raises InvalidInput for a name that is taken, empty or too long."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput([f"an account's name has 1 to {MAX_NAME} printable characters"])
    if tx.accounts.by_name(name):
        raise InvalidInput([f"there is an account {name!r} already"])
    account = Account(new_id("acc"), name, new_secret(), now, test_of)
    tx.accounts.insert(account)
    return account


def create_key(tx: Transaction, account: str, pepper: str, now: int, *, test: bool = False) -> NewKey:
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


def world_beside(tx: Transaction, account: str, now: int) -> Account:
    """The account that is the test world of `account` (id or name), made at first need; a test world is its own.

    Raises InvalidInput when there is no such account.
    """
    found = account_of(tx, account)
    if found.test_of:
        return found
    beside = tx.worlds.beside(found.id)
    if beside is not None:
        return account_of(tx, beside)
    name = f"{found.name[: MAX_NAME - len(TEST_SUFFIX)]}{TEST_SUFFIX}"
    # Somebody may be called so.
    name = f"{found.id}{TEST_SUFFIX}" if tx.accounts.by_name(name) else name
    return create_account(tx, name, now, test_of=found.id)


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


def revoke_key(tx: Transaction, key_id: str, now: int) -> int:
    """Returns since when it is revoked: an earlier time when it was so already. Raises InvalidInput for no key."""
    tx.accounts.revoke_key(key_id, now)
    revoked_at = tx.accounts.revoked_at(key_id)
    if revoked_at is None:
        raise InvalidInput([f"there is no key {key_id!r}: `keys list` shows the ids"])
    return revoked_at


def account_of(tx: Transaction, account: str) -> Account:
    found = tx.accounts.by_id(account) or tx.accounts.by_name(account)
    if found is None:
        raise InvalidInput([f"there is no account {account!r}"])
    return found
