"""The demo profile's first run: an account with keys, numbers to rent, and bookings for two softphones and a sandbox.

All numbers are in +33 1 99 00, a range that France reserves for fiction, so none belongs to anybody; but for the number
in the sandbox, which is simulated.
"""

from contextlib import suppress
from pathlib import Path

from engine.accounts import accounts, keys
from engine.asterisk.softphones import BROWSER_PHONE, SOFTPHONES, Softphone
from engine.bookings import lifecycle as bookings
from engine.bookings import number_pool
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.domain.errors import BookingTooLong, InvalidInput
from engine.domain.ids import AccountId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import E164
from engine.domain.policy import Policy, UsagePlan
from engine.domain.times import EpochMs
from engine.runtime.atomic_file import write_atomically
from engine.storage.transaction import Transaction

DEMO_ACCOUNT = AccountId("demo")
SOFTPHONE_ACCOUNT = "softphones"
POOL = tuple(f"+331990000{index:02}" for index in range(100))
# A number of the demo's sandbox, booked from the start, so that one request simulates a call.
TEST_NUMBER = E164("+9995550100")
TEST_DESTINATION = E164("+33199009099")
# The calls of these bookings send no callbacks.
NO_CALLBACK = ""
# Renewals add up to a little more than seven years, so that the softphones' bookings do not expire during a trial.
SOFTPHONE_RENEWALS = 29


def prepare(tx: Transaction, pepper: str, now: EpochMs, policy: Policy) -> keys.NewKey:
    """Creates the demo's accounts, numbers and bookings.

    Returns:
        The API key of the demo account.

    Raises:
        InvalidInput: The demo account exists already.
    """
    accounts.create_account(tx, DEMO_ACCOUNT, now)
    owner = accounts.create_account(tx, SOFTPHONE_ACCOUNT, now)
    for phone in SOFTPHONES:
        _book(tx, owner.id, phone, now, policy)
    number_pool.import_numbers(tx, list(enumerate(POOL, 1)), now)
    return keys.create_key(tx, DEMO_ACCOUNT, pepper, now)


def prepare_sandbox(tx: Transaction, pepper: str, now: EpochMs, policy: Policy) -> keys.NewKey:
    """Creates a test key of the demo account, and books the sandbox's number unless a booking has it.

    Returns:
        The key to the sandbox of the demo account.
    """
    key = keys.create_key(tx, DEMO_ACCOUNT, pepper, now, test=True)
    if tx.bookings.holding(TEST_NUMBER) is None:
        wanted = NumberRequest(service=TEST_NUMBER)
        request = BookingRequest(key.account_id, TEST_DESTINATION, UsagePlan.LARGE, NO_CALLBACK, wanted=wanted)
        bookings.book(tx, request, now, policy)
    return key


def _book(tx: Transaction, owner: AccountId, phone: Softphone, now: EpochMs, policy: Policy) -> None:
    """Adds a softphone's rented number to the pool, and books it."""
    number_pool.import_numbers(tx, [(1, phone.rented)], now)
    number = NumberRequest(service=E164(phone.rented))
    request = BookingRequest(owner, E164(phone.number), UsagePlan.LARGE, NO_CALLBACK, wanted=number)
    booking = bookings.book(tx, request, now, policy)
    with suppress(BookingTooLong):
        for _ in range(SOFTPHONE_RENEWALS):
            bookings.renew(tx, owner, booking.id, Renewal(UsagePlan.LARGE), now, policy)


def prepare_browser_phone(tx: Transaction, now: EpochMs, policy: Policy) -> bool:
    """Creates the booking of the page /phone, at the first start with that page.

    Returns:
        Whether it was created just now.

    Raises:
        Refusal: The operator's rules do not allow the booking.
    """
    if tx.numbers.by_number(E164(BROWSER_PHONE.rented)):
        return False
    owner = tx.accounts.by_name(SOFTPHONE_ACCOUNT) or accounts.create_account(tx, SOFTPHONE_ACCOUNT, now)
    _book(tx, owner.id, BROWSER_PHONE, now, policy)
    return True


def another_key(tx: Transaction, pepper: str, now: EpochMs) -> keys.NewKey:
    """Creates another API key of the demo account, when the file with the first one is lost."""
    return keys.create_key(tx, DEMO_ACCOUNT, pepper, now)


def exists(tx: Transaction) -> bool:
    """Returns whether the demo account exists."""
    return tx.accounts.by_name(DEMO_ACCOUNT) is not None


def webhook_secret(tx: Transaction) -> str:
    """Returns the secret that signs the demo account's callbacks. Raises InvalidInput if there is no such account."""
    account = tx.accounts.by_name(DEMO_ACCOUNT)
    if account is None:
        raise InvalidInput([f"there is no account {DEMO_ACCOUNT!r}"])
    return account.webhook_secret


def key_file(data_dir: Path) -> Path:
    """Returns the file with the demo account's API key."""
    return data_dir / "demo" / "api-key"


def test_key_file(data_dir: Path) -> Path:
    """Returns the file with the API key to the sandbox of the demo account."""
    return data_dir / "demo" / "test-key"


def webhook_secret_file(data_dir: Path) -> Path:
    """Returns the file with the secret that signs the demo account's callbacks."""
    return data_dir / "demo" / "webhook-secret"


def call_lock(data_dir: Path) -> Path:
    """Returns the lock file that `make call` holds while it runs."""
    return data_dir / "demo" / "call.lock"


def files(data_dir: Path) -> tuple[Path, ...]:
    """Returns every file that the demo makes."""
    return key_file(data_dir), test_key_file(data_dir), webhook_secret_file(data_dir), call_lock(data_dir)


def write_key(file: Path, key: keys.NewKey) -> None:
    """Writes an API key to its file."""
    _write(file, key.secret)


def write_webhook_secret(data_dir: Path, secret: str) -> None:
    """Writes the secret to its file, unless the file has it already."""
    file = webhook_secret_file(data_dir)
    if not file.exists() or file.read_text() != f"{secret}\n":
        _write(file, secret)


def _write(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, secret + "\n")
