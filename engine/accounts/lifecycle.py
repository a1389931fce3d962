"""An account's life: suspended, resumed, renamed. Closing is in engine.bookings.closing, because it ends bookings."""

from engine.accounts.accounts import account_of, check_name, name_of_sandbox
from engine.domain.account_state import AccountEvent, next_state
from engine.domain.errors import AccountSuspended, InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.accounts import Account
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

MAX_REASON = 200


def suspend(tx: Transaction, account: str, reason: str | None, now: EpochMs) -> Account:
    """Suspends an account and its sandbox. One that is suspended keeps its instant, and its reason if none is given.

    Args:
        tx: The transaction.
        account: Id or name of the account.
        reason: For the operator, who alone sees it; None: none.
        now: The present time.

    Raises:
        InvalidInput: There is no such account, it is a sandbox or closed, or the reason is not a line of text.
    """
    found = own_account(tx, account)
    if reason is not None and (not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable()):
        raise InvalidInput([f"--reason must be a line of 1 to {MAX_REASON} characters"])
    next_state(found.state, AccountEvent.SUSPEND)
    tx.accounts.suspend(found.id, reason, now)
    if found.suspended_at is None:
        tx.withdraw(Kind.SUSPENDED, found.id)
    return account_of(tx, found.id)


def resume(tx: Transaction, account: str) -> Account:
    """Lifts the suspension of an account and its sandbox.

    Raises:
        InvalidInput: There is no such account, or it is a sandbox or closed.
    """
    found = own_account(tx, account)
    next_state(found.state, AccountEvent.RESUME)
    if found.suspended_at is not None:
        tx.accounts.resume(found.id)
        tx.withdraw(Kind.RESUMED, found.id)
    return account_of(tx, found.id)


def rename(tx: Transaction, account: str, name: str) -> Account:
    """Gives an account another name. A sandbox that is named after it is renamed as well.

    Raises:
        InvalidInput: There is no such account, or the name is taken, empty, too long or not printable.
    """
    found = account_of(tx, account)
    if name == found.name:
        return found
    check_name(tx, name)
    sandbox_id = tx.sandboxes.beside(found.id)
    named_after_it = sandbox_id is not None and account_of(tx, sandbox_id).name == name_of_sandbox(found)
    tx.accounts.rename(found.id, name)
    renamed = account_of(tx, found.id)
    if sandbox_id is not None and named_after_it:
        of_sandbox = name_of_sandbox(renamed)
        # A customer may have chosen this name.
        tx.accounts.rename(sandbox_id, name_of_sandbox(renamed, by_id=bool(tx.accounts.by_name(of_sandbox))))
    return renamed


def check_active(tx: Transaction, account_id: AccountId) -> None:
    """Raises AccountSuspended if the account is suspended or closed."""
    found = tx.accounts.by_id(account_id)
    if found is not None and found.suspended_at is not None:
        raise AccountSuspended(f"the account is {found.state.value.lower()}")


def own_account(tx: Transaction, account: str) -> Account:
    """Returns the account with this id or name.

    Raises:
        InvalidInput: There is no such account, or it is a sandbox, whose state is that of its customer's account.
    """
    found = account_of(tx, account)
    if found.test_of:
        raise InvalidInput([f"{found.name} is a sandbox and has the state of the account {found.test_of}"])
    return found
