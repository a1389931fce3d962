"""Customers' accounts and their sandboxes. Each is a plain function over a transaction."""

from engine.callbacks.secrets import new_secret
from engine.domain.account_limits import OwnLimits
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.accounts import Account
from engine.storage.transaction import Transaction

MAX_NAME = 100
TEST_SUFFIX = " (test)"


def create_account(tx: Transaction, name: str, now: EpochMs, *, test_of: Account | None = None) -> Account:
    """Creates an account with a webhook secret.

    Args:
        tx: The transaction.
        name: The account's name, unique.
        now: The present time.
        test_of: The account whose sandbox the new account is, with the same state; None for a customer's account.

    Raises:
        InvalidInput: The name is taken, empty, too long or not printable.
    """
    check_name(tx, name)
    account_id = AccountId(new_id("acc"))
    if test_of is None:
        account = Account(account_id, name, new_secret(), now)
    else:
        state = (test_of.suspended_at, test_of.suspended_reason, test_of.closed_at)
        account = Account(account_id, name, new_secret(), now, test_of.id, *state)
    tx.accounts.insert(account)
    return account


def check_name(tx: Transaction, name: str) -> None:
    """Raises InvalidInput if an account's name is taken, empty, too long or not printable."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput([f"an account's name has 1 to {MAX_NAME} printable characters"])
    if tx.accounts.by_name(name):
        raise InvalidInput([f"there is already an account {name!r}"])


def sandbox_of(tx: Transaction, account: str, now: EpochMs) -> Account:
    """Returns an account's sandbox, and creates it the first time. The sandbox of a sandbox is itself.

    Args:
        tx: The transaction.
        account: Id or name of the account.
        now: The present time.

    Raises:
        InvalidInput: There is no such account.
    """
    owner = account_of(tx, account)
    if owner.test_of:
        return owner
    sandbox_id = tx.sandboxes.beside(owner.id)
    if sandbox_id is not None:
        return account_of(tx, sandbox_id)
    name = name_of_sandbox(owner)
    if tx.accounts.by_name(name):  # a customer chose this name
        name = name_of_sandbox(owner, by_id=True)
    return create_account(tx, name, now, test_of=owner)


def name_of_sandbox(owner: Account, *, by_id: bool = False) -> str:
    """Returns the name of an account's sandbox: after the account's name, or its id."""
    return f"{owner.id if by_id else owner.name[: MAX_NAME - len(TEST_SUFFIX)]}{TEST_SUFFIX}"


def set_limits(tx: Transaction, account: str, own: OwnLimits, *, reset: bool = False) -> Account:
    """Gives an account limits of its own.

    Args:
        tx: The transaction.
        account: Id or name of the account.
        own: The limits to set, by their names in AccountLimits; the account keeps its others.
        reset: Whether it loses its others.

    Raises:
        InvalidInput: There is no such account, or it is a sandbox, which has the limits of its customer's account.
    """
    found = account_of(tx, account)
    if found.test_of:
        raise InvalidInput([f"{found.name} is a sandbox and has the limits of the account {found.test_of}"])
    before = {} if reset else tx.accounts.own_limits(found.id)
    tx.accounts.set_own_limits(found.id, {**before, **own})
    return found


def account_of(tx: Transaction, account: str) -> Account:
    """Returns the account with this id or name.

    Raises:
        InvalidInput: There is no such account.
    """
    found = tx.accounts.by_id(AccountId(account)) or tx.accounts.by_name(account)
    if found is None:
        raise InvalidInput([f"there is no account {account!r}"])
    return found
