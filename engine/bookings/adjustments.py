"""The use case of an operator who gives a booking seconds or calls beside its plans, or takes some away.

What calls that are up hold can only be taken once Asterisk has lowered their limits; `LimitKeeper.adjust` sees to that.
So an adjustment may do less than was asked for, and says how much it did: no debt is left to be lost.
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
from engine.storage.transaction import Transaction

MAX_ADJUSTMENT = 10**9
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Adjustment:
    """So many seconds and calls are to be given; taken away where negative. `id`: of the grant that it becomes.

    Raises InvalidInput when it is built of something else.
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
        return max(0, -self.seconds)


def adjust(tx: Transaction, adjustment: Adjustment, at: Timestamp, policy: Policy) -> Grant:
    """Give, or take of what nobody holds; returns what was done. One that comes again was done already.

    Raises NotFound, BookingGone.
    """
    known = tx.bookings.grant(adjustment.id)
    if known is not None:
        return known
    booking = tx.bookings.by_id(adjustment.booking_id)
    if booking is None:
        raise NotFound("there is no such booking")
    now = tx.worlds.timestamp(booking.account_id, at).wall_ms
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
    notifications.notify_credit_changed(tx, booking, adjusted, now, policy)
    return grant


def adjust_live(
    tx: Transaction, adjustment: Adjustment, shrunk: Mapping[CallId, int], at: Timestamp, policy: Policy
) -> tuple[Grant, list[TalkLimit]]:
    """Book the leases that Asterisk has lowered for it (see `apply_shares`), adjust, and share what is there then.

    Also returns the limits that Asterisk is to raise. Nobody can come between: what was freed is taken.
    """
    wanted = adjustment.seconds_to_take
    grown = apply_shares(tx, adjustment.booking_id, shrunk, at, policy, keep_free=wanted)
    grant = adjust(tx, adjustment, at, policy)
    grown += apply_shares(tx, adjustment.booking_id, {}, at, policy)
    return grant, list({limit.call_id: limit for limit in grown}.values())
