"""Bookings as the commands find and show them. The hidden number is never among what is shown."""

from typing import Any

from api.schemas.operator_rows import booking_row
from engine.accounts.accounts import account_of
from engine.cli.options import DEMO_PROFILE
from engine.config.policy import callback_rules_of
from engine.config.settings import Settings
from engine.domain.errors import CallbackNotAcceptable, NotFound
from engine.domain.ids import AccountId, BookingId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction


def check_callback(url: str, settings: Settings) -> None:
    """Refuses a callback URL that the API would refuse.

    Raises:
        CallbackNotAcceptable: With the reason, and with the demo profile's variable where that would allow it.
    """
    from engine.callbacks.ssrf import check_callback  # noqa: PLC0415  its imports are slow, and few commands need it

    try:
        check_callback(url, callback_rules_of(settings))
    except CallbackNotAcceptable as refused:
        if settings.allow_private_callbacks:
            raise
        raise CallbackNotAcceptable(
            f"{refused}\na callback on this machine is for the demo profile only ({DEMO_PROFILE})"
        ) from None


def owned_booking(tx: Transaction, booking_id: str) -> OwnedBooking:
    """Returns a booking of any account, with the account's name.

    Raises:
        NotFound: There is no such booking.
    """
    booking = tx.bookings.by_id(BookingId(booking_id))
    if booking is None:
        raise NotFound("there is no such booking")
    return OwnedBooking(account_of(tx, booking.account_id).name, booking)


def now_of(tx: Transaction, account_id: AccountId | None, at: Timestamp) -> EpochMs:
    """Returns the time by the account's clock, which a sandbox may have set forward; None: the machine's clock."""
    return at.wall_ms if account_id is None else tx.sandboxes.timestamp(account_id, at).wall_ms


def row_of(tx: Transaction, owned: OwnedBooking, at: Timestamp, policy: Policy) -> dict[str, Any]:
    """Returns one line of a list of bookings."""
    return booking_row(owned, now_of(tx, owned.booking.account_id, at), policy)
