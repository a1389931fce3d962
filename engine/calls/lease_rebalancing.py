"""Shares a booking's seconds among its calls, by the rule of engine/domain/sharing.py.

The order is: `plan_shrinks` → Asterisk lowers those limits → `apply_shares` writes the smaller leases and raises
others → Asterisk raises the limits of those. Wherever this fails, no lease in the database is below its limit in
Asterisk.

Where several engines work on the database, each shares among all calls, but moves only those of the Asterisk that it
keeps. The others' keepers do the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.calls.facts import holdings_of, talked_ms
from engine.domain import call_credit
from engine.domain.booking import Booking
from engine.domain.ids import BookingId, CallId
from engine.domain.metering import CallState, talk_limit_ms
from engine.domain.policy import Policy
from engine.domain.sharing import fair_leases
from engine.domain.times import BootMs, Timestamp
from engine.storage.calls import Call
from engine.storage.keepers import SOLE_KEEPER, Keeper
from engine.storage.transaction import Transaction

# The end of a call that Asterisk cut at its limit is reported well within this time.
OVERRUN_MS = 2_000


@dataclass(frozen=True, slots=True)
class TalkLimit:
    """The limit that Asterisk should set on a call.

    Attributes:
        call_id: The call; also the unique id of the caller's channel, which carries the lease while it rings.
        channel: The callee's channel, which carries the limit once it talks; None if it rings.
        leased: The call's lease, in seconds.
        left_ms: How many milliseconds longer the call may last, counted from `at_boot_ms`.
        at_boot_ms: Milliseconds since the machine's start.
        beep: Whether both sides hear a beep before its end.
    """

    call_id: CallId
    channel: str | None
    leased: int
    left_ms: int
    at_boot_ms: BootMs
    beep: bool = False


def plan_shrinks(
    tx: Transaction,
    booking_id: BookingId,
    at: Timestamp,
    policy: Policy,
    keep_free: int = 0,
    keeper: Keeper = SOLE_KEEPER,
) -> list[TalkLimit]:
    """Returns the smaller limits of calls that must give seconds to others. Writes nothing.

    Args:
        tx: The transaction.
        booking_id: The booking.
        at: Now.
        policy: The operator's choices.
        keep_free: Seconds to set aside for a call that comes in.
        keeper: The engine that asks; only calls of its Asterisk are returned.
    """
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    calls = tx.calls.up_on(booking_id)
    fair = _fair(booking, calls, at, policy, keep_free)
    return [
        _limit(replace(call, seconds_leased=fair[call.call_id]), booking, at)
        for call in calls
        if fair[call.call_id] < call.seconds_leased and call.asterisk == keeper.asterisk
    ]


def apply_shares(
    tx: Transaction,
    booking_id: BookingId,
    shrunk: Mapping[CallId, int],
    at: Timestamp,
    policy: Policy,
    *,
    keep_free: int = 0,
    keeper: Keeper = SOLE_KEEPER,
) -> list[TalkLimit]:
    """Writes the leases whose limits Asterisk has lowered, then raises the leases that may grow.

    Args:
        tx: The transaction.
        booking_id: The booking.
        shrunk: The lowered leases in seconds, by call.
        at: Now.
        policy: The operator's choices.
        keep_free: Seconds to set aside for a call that comes in.
        keeper: The engine that asks. If another one keeps its Asterisk by now, nothing is written: that one may have
            set other limits since.

    Returns:
        The larger limits, which Asterisk must set now.
    """
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None or not tx.keepers.holds(keeper):
        return []
    calls = []
    for call in tx.calls.up_on(booking_id):
        lowered = min(call.seconds_leased, shrunk.get(call.call_id, call.seconds_leased))
        booking, kept = _move(tx, booking, call, lowered)
        calls.append(kept)
    fair = _fair(booking, calls, at, policy, keep_free)
    ours = [call for call in calls if call.asterisk == keeper.asterisk]
    return _raise(tx, booking, ours, fair, at, keep_free)


def _raise(
    tx: Transaction, booking: Booking, calls: list[Call], fair: Mapping[CallId, int], at: Timestamp, keep_free: int
) -> list[TalkLimit]:
    """Raises the leases that may grow. Returns their limits."""
    raised_limits = []
    for call in calls:
        spare = max(0, booking.seconds.remaining - keep_free)
        target = max(call.seconds_leased, min(fair[call.call_id], call.seconds_leased + spare))
        booking, kept = _move(tx, booking, call, target)
        if kept is not call:
            raised_limits.append(_limit(kept, booking, at))
    return raised_limits


def limits_on(tx: Transaction, booking_id: BookingId, at: Timestamp, keeper: Keeper = SOLE_KEEPER) -> list[TalkLimit]:
    """Returns the present limits of the talking calls on a booking; none if it is gone, as its calls must end."""
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    ours = [call for call in tx.calls.up_on(booking_id) if call.asterisk == keeper.asterisk]
    talking = [call for call in ours if call.state is CallState.LIVE and call.callee_channel is not None]
    return [_limit(call, booking, at) for call in talking]


def limit_if_answered(tx: Transaction, limit: TalkLimit, at: Timestamp) -> TalkLimit | None:
    """Returns the limit of a call that has been answered since `limit` was planned; None if it rings or is over."""
    call = tx.calls.by_id(limit.call_id)
    if call is None or call.state is not CallState.LIVE:
        return None
    booking = tx.bookings.by_id(call.booking_id)
    return None if booking is None else _limit(replace(call, seconds_leased=limit.leased), booking, at)


def bookings_with_talk(tx: Transaction, asterisk: str) -> list[BookingId]:
    """Returns the bookings with a talking call in an Asterisk."""
    return tx.calls.bookings_with_talk(asterisk)


def bookings_overrun(tx: Transaction, boot_ms: BootMs, asterisk: str) -> list[BookingId]:
    """Returns the bookings with a call in an Asterisk that talks past its lease.

    That happens if Asterisk lost the limit, or measures it by a clock that was set. `boot_ms` is now, in milliseconds
    since the machine's start.
    """
    return tx.calls.bookings_overrun(asterisk, BootMs(boot_ms - OVERRUN_MS))


def bookings_to_share(tx: Transaction, at: Timestamp, policy: Policy, keeper: Keeper = SOLE_KEEPER) -> list[BookingId]:
    """Returns the bookings with idle seconds that their talking calls in the keeper's Asterisk could use.

    The engine can end between the settlement of a call and the sharing of what it gave back.
    """
    found, idle = [], tx.bookings.talking_with_seconds_idle()
    # All at once: there may be ten thousand.
    up: dict[BookingId, list[Call]] = {booking.id: [] for booking in idle}
    for call in tx.calls.up() if idle else ():
        if call.booking_id in up:
            up[call.booking_id].append(call)
    for booking in idle:
        calls = up[booking.id]
        fair = _fair(booking, calls, at, policy, keep_free=0)
        if any(fair[call.call_id] > call.seconds_leased and call.asterisk == keeper.asterisk for call in calls):
            found.append(booking.id)
    return found


def _fair(booking: Booking, calls: list[Call], at: Timestamp, policy: Policy, keep_free: int) -> dict[CallId, int]:
    return fair_leases(booking.seconds.remaining, holdings_of(calls, booking, at, policy), keep_free=keep_free)


def _limit(call: Call, booking: Booking, at: Timestamp) -> TalkLimit:
    left = talk_limit_ms(call.seconds_leased, talked_ms(call, at), booking.end_at - at.wall_ms)
    return TalkLimit(call.call_id, call.callee_channel, call.seconds_leased, left, at.boot_ms, booking.beep)


def _move(tx: Transaction, booking: Booking, call: Call, leased: int) -> tuple[Booking, Call]:
    if leased == call.seconds_leased:
        return booking, call
    moved = call_credit.move_leases(booking, leased - call.seconds_leased)
    changed = replace(call, seconds_leased=leased)
    tx.bookings.update_credit(moved)
    tx.calls.update(changed)
    return moved, changed
