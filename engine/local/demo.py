"""The demo profile's first run: an account with a key, numbers to rent, and two softphones that can ring.

All numbers lie in +33 1 99 00, which France's regulator keeps free for fiction: nobody real is ever shown.
"""

from contextlib import suppress
from pathlib import Path

from engine.accounts import accounts, keys
from engine.asterisk.softphones import SOFTPHONES
from engine.bookings import lifecycle as bookings
from engine.bookings import number_pool
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.domain.errors import BookingTooLong, InvalidInput
from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.domain.policy import Policy, UsagePlan
from engine.domain.times import EpochMs
from engine.runtime.atomic_file import write_atomically
from engine.storage.transaction import Transaction

DEMO_ACCOUNT = AccountId("demo")
SOFTPHONE_ACCOUNT = "softphones"
POOL = tuple(f"+331990000{index:02}" for index in range(100))
# An empty callback: there is nobody to tell about the softphones' calls.
NO_CALLBACK = ""


# Together a little more than seven years, so that nobody who tries the product finds them expired.
SOFTPHONE_RENEWALS = 29


def prepare(tx: Transaction, pepper: str, now: EpochMs, policy: Policy) -> keys.NewKey:
    """Everything in one transaction. Raises InvalidInput when the demo account is there already."""
    accounts.create_account(tx, DEMO_ACCOUNT, now)
    owner = accounts.create_account(tx, SOFTPHONE_ACCOUNT, now)
    for phone in SOFTPHONES:
        # The only free number at that moment, so the booking gets it.
        number_pool.import_numbers(tx, [(1, phone.rented)], now)
        request = BookingRequest(owner.id, E164(phone.number), UsagePlan.LARGE, NO_CALLBACK)
        booking = bookings.book(tx, request, now, policy)
        with suppress(BookingTooLong):
            for _ in range(SOFTPHONE_RENEWALS):
                bookings.renew(tx, owner.id, booking.id, Renewal(UsagePlan.LARGE), now, policy)
    number_pool.import_numbers(tx, list(enumerate(POOL, 1)), now)
    return keys.create_key(tx, DEMO_ACCOUNT, pepper, now)


def another_key(tx: Transaction, pepper: str, now: EpochMs) -> keys.NewKey:
    """For an installation that has the account but lost the file with its key."""
    return keys.create_key(tx, DEMO_ACCOUNT, pepper, now)


def exists(tx: Transaction) -> bool:
    return tx.accounts.by_name(DEMO_ACCOUNT) is not None


def webhook_secret(tx: Transaction) -> str:
    """What the demo account verifies its callbacks with."""
    account = tx.accounts.by_name(DEMO_ACCOUNT)
    if account is None:
        raise InvalidInput([f"there is no account {DEMO_ACCOUNT!r}"])
    return account.webhook_secret


def key_file(data_dir: Path) -> Path:
    return data_dir / "demo" / "api-key"


def webhook_secret_file(data_dir: Path) -> Path:
    return data_dir / "demo" / "webhook-secret"


def call_lock(data_dir: Path) -> Path:
    """Held by `make call`."""
    return data_dir / "demo" / "call.lock"


def write_key(data_dir: Path, key: keys.NewKey) -> None:
    _write(key_file(data_dir), key.secret)


def write_webhook_secret(data_dir: Path, secret: str) -> None:
    """Unless it stands there already."""
    file = webhook_secret_file(data_dir)
    if not file.exists() or file.read_text() != f"{secret}\n":
        _write(file, secret)


def _write(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, secret + "\n")
