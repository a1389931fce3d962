"""The operator's adjustments: seconds or calls that are added to a booking outside its plans, or taken away.

Seconds that live calls hold can only be taken once Asterisk has lowered their limits (`LimitKeeper.adjust` does that).
An adjustment may therefore take less than was asked. It returns what it took, and the rest does not stay as a debt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.callbacks import notifications
from engine.calls.lease_rebalancing import TalkLimit, apply_shares
from engine.domain import booking as life
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.domain.times import Timestamp
from engine.storage.bookings import Grant
from engine.storage.keepers import SOLE_KEEPER, Keeper
from engine.storage.transaction import Transaction

MAX_ADJUSTMENT = 10**9
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A request to change a booking's credit.

    Attributes:
        id: Id of the grant that the adjustment becomes. It makes a repeated request recognisable.
        booking_id: The booking to adjust.
        seconds: Seconds to add; negative to take away.
        calls: Calls to add; negative to take away.
        reason: The operator's reason, one line.

    Raises:
        InvalidInput: An amount or the reason is out of bounds.
    """

    id: str
    booking_id: BookingId
    seconds: int
    calls: int
    reason: str

    def __post_init__(self) -> None:
        problems = []
        if not self.seconds and not self.calls:
            problems.append("give --seconds, --calls or both: there is nothing to adjust")
        if max(abs(self.seconds), abs(self.calls)) > MAX_ADJUSTMENT:
            problems.append(f"no more than {MAX_ADJUSTMENT} seconds or calls at once")
        if not self.reason.strip() or len(self.reason) > MAX_REASON or not self.reason.isprintable():
            problems.append(f"--reason must be a line of 1 to {MAX_REASON} characters")
        if problems:
            raise InvalidInput(problems)

    @property
    def seconds_to_take(self) -> int:
        """The seconds to take away, as a positive number; 0 if none."""
        return max(0, -self.seconds)


def adjust(tx: Transaction, adjustment: Adjustment, at: Timestamp, policy: Policy) -> Grant:
    """Adds credit, or takes away credit that no live call holds.

    An adjustment whose id is already stored changes nothing.

    Returns:
        What was added or taken.

    Raises:
        NotFound: There is no such booking.
        BookingGone: The booking is gone.
    """
    known = tx.bookings.grant(adjustment.id)
    if known is not None:
        return known
    booking = tx.bookings.by_id(adjustment.booking_id)
    if booking is None:
        raise NotFound("there is no such booking")
    now = tx.sandboxes.timestamp(booking.account_id, at).wall_ms
    adjusted = life.adjust(booking, adjustment.seconds, adjustment.calls, now, policy)
    grant = Grant(
        id=adjustment.id,
        booking_id=booking.id,
        usage_plan=None,
        seconds=adjusted.seconds.granted - booking.seconds.granted,
        calls=adjusted.calls.granted - booking.calls.granted,
        granted_at=now,
        reason=adjustment.reason,
    )
    tx.bookings.update(adjusted)
    tx.bookings.insert_grant(grant)
    if grant.seconds > 0:
        notifications.allow_low_seconds_again(tx, adjusted)
    chosen = tx.notifications.chosen(booking.account_id)
    notifications.notify_credit_changed(tx, booking, adjusted, chosen, now, policy)
    return grant


def adjust_live(
    tx: Transaction,
    adjustment: Adjustment,
    lowered: Mapping[CallId, int],
    at: Timestamp,
    policy: Policy,
    keeper: Keeper = SOLE_KEEPER,
) -> tuple[Grant, list[TalkLimit]]:
    """Adjusts a booking that has live calls, in one transaction, so that no call leases what was just freed.

    It first books the leases that Asterisk has lowered, then adjusts, then shares what remains among the live calls.

    Args:
        tx: The transaction.
        adjustment: What to change.
        lowered: The seconds that each call holds now, where Asterisk has lowered its limit (see `apply_shares`).
        at: The present instant.
        policy: The operator's rules.
        keeper: The engine that asks (see `apply_shares`).

    Returns:
        What was added or taken, and the limits that Asterisk must raise.

    Raises:
        NotFound: There is no such booking.
        BookingGone: The booking is gone.
    """
    raised_limits = apply_shares(
        tx, adjustment.booking_id, lowered, at, policy, keep_free=adjustment.seconds_to_take, keeper=keeper
    )
    grant = adjust(tx, adjustment, at, policy)
    raised_limits += apply_shares(tx, adjustment.booking_id, {}, at, policy, keeper=keeper)
    return grant, list({limit.call_id: limit for limit in raised_limits}.values())
