"""A sandbox's own clock, and what falls due by it.

The clock starts level with the machine's and is only ever set forward: by the customer, and by simulated calls.
"""

from dataclasses import dataclass, replace

from engine.bookings.endings import end_graces
from engine.callbacks.notifications import notify_due
from engine.domain.errors import ClockTooFar, InvalidInput
from engine.domain.ids import AccountId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.interface import Storage
from engine.storage.sandboxes import Sandbox
from engine.storage.transaction import Transaction
from engine.twilio_proxy.upkeep import due_sessions, move_ends

# A thousand years: every instant that follows from it can still be written as RFC 3339.
MAX_AHEAD_MS = 1_000 * 366 * 86_400_000
# Rows and sandboxes that one transaction handles, so that no call waits long for the database.
SWEEP_LIMIT = 200
SANDBOXES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class SandboxSweep:
    """What one transaction swept.

    Attributes:
        done: How many rows it handled.
        last: Owner of the last sandbox, after which the next transaction continues. None: no sandbox is left.
    """

    done: int
    last: AccountId | None


def advance_clock(tx: Transaction, account_id: AccountId, milliseconds: int, now: EpochMs) -> EpochMs:
    """Sets the sandbox's clock forward. `sweep_sandbox_of` then carries out what falls due.

    Args:
        tx: The transaction.
        account_id: The sandbox's account.
        milliseconds: By how much.
        now: The present time by the machine's clock.

    Returns:
        The present time by the sandbox's clock.

    Raises:
        ClockTooFar: The clock would be more than `MAX_AHEAD_MS` ahead.
    """
    return move_ahead(tx, sandbox_with_id(tx, account_id), milliseconds).now(now)


def move_ahead(tx: Transaction, sandbox: Sandbox, milliseconds: int) -> Sandbox:
    """Sets a sandbox's clock forward, and returns the sandbox with the new clock. Raises ClockTooFar."""
    moved = replace(sandbox, clock_ahead_ms=sandbox.clock_ahead_ms + milliseconds)
    if moved.clock_ahead_ms > MAX_AHEAD_MS:
        raise ClockTooFar("the clock of this sandbox cannot be set further ahead")
    tx.sandboxes.set_clock(moved)
    return moved


async def sweep_sandboxes(storage: Storage, now: EpochMs, policy: Policy) -> int:
    """Carries out what is due in all sandboxes, each by its own clock. Calls can use the database in between.

    Args:
        storage: The database.
        now: The present time by the machine's clock.
        policy: The operator's rules.

    Returns:
        How many rows it handled.

    Raises:
        StorageError: The database failed. What was committed before stays done.
    """
    done = 0
    after: AccountId | None = None
    while True:
        page = await storage.run(sweep_page, after, now, policy)
        done += page.done
        if page.last is None:
            return done
        after = page.last


def sweep_page(tx: Transaction, after: AccountId | None, now: EpochMs, policy: Policy) -> SandboxSweep:
    """Sweeps as many sandboxes as one transaction should.

    Args:
        tx: The transaction.
        after: Start after the sandbox of this account; None starts at the beginning.
        now: The present time by the machine's clock.
        policy: The operator's rules.
    """
    done = 0
    page = tx.sandboxes.page(after or "", SANDBOXES_AT_ONCE)
    for sandbox in page:
        done += sweep_sandbox(tx, sandbox, sandbox.now(now), policy)
        if done >= SWEEP_LIMIT:
            return SandboxSweep(done, sandbox.test_of)
    return SandboxSweep(done, page[-1].test_of if len(page) == SANDBOXES_AT_ONCE else None)


def sweep_sandbox_of(tx: Transaction, account_id: AccountId, now: EpochMs, policy: Policy) -> int:
    """Carries out what is due in one sandbox, or as much of it as one transaction should.

    Args:
        tx: The transaction.
        account_id: The sandbox's account.
        now: The present time by the machine's clock.
        policy: The operator's rules.

    Returns:
        How many rows it handled; 0 when nothing is left.
    """
    sandbox = _sandbox_of(tx, account_id)  # without a lock: bookings are locked before accounts
    return sweep_sandbox(tx, sandbox, sandbox.now(now), policy)


def sweep_sandbox(tx: Transaction, sandbox: Sandbox, now: EpochMs, policy: Policy) -> int:
    """Carries out everything that the passing of time causes in a sandbox.

    Args:
        tx: The transaction.
        sandbox: The sandbox.
        now: The present time by the sandbox's own clock.
        policy: The operator's rules.

    Returns:
        How many rows it handled.
    """
    move_ends(tx, due_sessions(tx, now, sandbox.account_id, SWEEP_LIMIT), now, policy)
    notified = notify_due(tx, now, policy, sandbox.account_id)
    over = tx.sandboxes.expired_before(sandbox.account_id, EpochMs(now - policy.grace_ms), SWEEP_LIMIT)
    if notified.is_full:
        return notified.scanned  # the customer must learn that a booking expired before it is gone
    return notified.scanned + end_graces(tx, over, now, policy)


def sandbox_with_id(tx: Transaction, account_id: AccountId) -> Sandbox:
    """Returns the sandbox that this account is. No other transaction sets its clock now.

    Raises:
        InvalidInput: The account is not a sandbox. The API does not get here without a sandbox's key.
    """
    tx.accounts.lock(account_id)
    return _sandbox_of(tx, account_id)


def _sandbox_of(tx: Transaction, account_id: AccountId) -> Sandbox:
    sandbox = tx.sandboxes.of(account_id)
    if sandbox is None:
        raise InvalidInput(["this account is not a sandbox"])
    return sandbox
