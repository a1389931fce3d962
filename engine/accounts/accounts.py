"""Accounts and API keys: what an operator makes. Plain functions over a transaction."""

from engine.callbacks.signing import new_secret
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.accounts import Account
from engine.storage.transaction import Transaction

MAX_NAME = 100
TEST_SUFFIX = " (test)"


def create_account(tx: Transaction, name: str, now: EpochMs, *, test_of: AccountId | None = None) -> Account:
    """`test_of`: id of the account beside which this one is a test world.

    Raises InvalidInput for a name that is taken, empty or too long."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput([f"an account's name has 1 to {MAX_NAME} printable characters"])
    if tx.accounts.by_name(name):
        raise InvalidInput([f"there is an account {name!r} already"])
    account = Account(AccountId(new_id("acc")), name, new_secret(), now, test_of)
    tx.accounts.insert(account)
    return account


def world_beside(tx: Transaction, account: str, now: EpochMs) -> Account:
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


def account_of(tx: Transaction, account: str) -> Account:
    found = tx.accounts.by_id(AccountId(account)) or tx.accounts.by_name(account)
    if found is None:
        raise InvalidInput([f"there is no account {account!r}"])
    return found
