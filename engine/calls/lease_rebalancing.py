"""Shares a booking's seconds among its talking calls, by the rule of engine/domain/sharing.py.

The order is: `plan_shrinks` → Asterisk lowers those limits → `apply_shares` writes the smaller leases and raises
others → Asterisk raises the limits of those. Wherever this fails, no lease in the database is below its limit in
Asterisk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.calls.lifecycle import AnsweredCall, answered_call
from engine.domain import booking as bookings
from engine.domain.booking import Booking, longest_call
from engine.domain.ids import BookingId, CallId
from engine.domain.metering import CallState, talk_limit_ms
from engine.domain.policy import Policy
from engine.domain.sharing import Holding, fair_leases
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.transaction import Transaction

# The end of a call that Asterisk cut at its limit is reported well within this time.
OVERRUN_MS = 2_000


@dataclass(frozen=True, slots=True)
class TalkLimit:
    """The limit that Asterisk should set on a call.

    Attributes:
        call_id: The call.
        channel: The callee's channel, which carries the limit.
        leased: The call's lease, in seconds.
        left_ms: How many milliseconds longer the call may last, counted from `at_boot_ms`.
        at_boot_ms: Milliseconds since the machine's start.
    """

    call_id: CallId
    channel: str
    leased: int
    left_ms: int
    at_boot_ms: BootMs


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """What follows the answer of a call.

    Attributes:
        limit: The limit of this call; None if it must end.
        crowded: Whether other calls should give this one some of their seconds.
        is_repeat: Whether the answer was reported before: the call has its limit already.
        raised_limits: Larger limits of other calls, which share what an ended call gave back.
    """

    limit: TalkLimit | None
    crowded: bool
    is_repeat: bool = False
    raised_limits: tuple[TalkLimit, ...] = ()


class _Shares(NamedTuple):
    """A booking and its calls after leases were raised, and the limits that were."""

    booking: Booking
    calls: list[Call]
    raised_limits: list[TalkLimit]


def begin_talk(
    tx: Transaction,
    call_id: CallId,
    callee_channel: str,
    at: Timestamp,
    policy: Policy,
    *,
    asterisk_now: EpochMs | None = None,
) -> AnswerResult:
    """Notes the answer of a call and leases its share of what no call holds.

    That is all that a call needs if it is the only one on its booking.

    Args:
        tx: The transaction.
        call_id: The call.
        callee_channel: The callee's channel, which carries the limit.
        at: When the answer was reported.
        policy: The operator's choices.
        asterisk_now: `at.wall_ms` by Asterisk's wall clock, if known.
    """
    answer = answered_call(tx, call_id, callee_channel, at, asterisk_now=asterisk_now)
    if answer is None:
        return AnswerResult(None, crowded=False)
    if answer.is_repeat:
        # Its lease stays: Asterisk does not set a new limit after a repeated report.
        tx.calls.update(answer.call)
        return AnswerResult(_limit(answer.call, answer.booking, at), crowded=False, is_repeat=True)
    shares = _share(tx, answer.booking, _calls_up(tx, answer), at, policy, keep_free=0)
    [own] = [call for call in shares.calls if call.call_id == call_id]
    if own is answer.call:
        tx.calls.update(own)  # `_share` writes only calls whose lease it changes
    return AnswerResult(
        _limit(own, shares.booking, at),
        crowded=bool(_shrinks(shares.booking, shares.calls, at, policy, keep_free=0)),
        raised_limits=tuple(limit for limit in shares.raised_limits if limit.call_id != call_id),
    )


def _calls_up(tx: Transaction, answer: AnsweredCall) -> list[Call]:
    """Returns the calls that are up on the booking, with the answered call in its new state."""
    if answer.booking.calls.leased == 1:
        return [answer.call]  # every call that is up has leased one, so there is no other
    return [answer.call if call.call_id == answer.call.call_id else call for call in tx.calls.up_on(answer.booking.id)]


def plan_shrinks(
    tx: Transaction, booking_id: BookingId, at: Timestamp, policy: Policy, keep_free: int = 0
) -> list[TalkLimit]:
    """Returns the smaller limits of calls that must give seconds to others. Writes nothing.

    Args:
        tx: The transaction.
        booking_id: The booking.
        at: Now.
        policy: The operator's choices.
        keep_free: Seconds to set aside for a call that is about to ring.
    """
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    return _shrinks(booking, tx.calls.up_on(booking_id), at, policy, keep_free)


def _shrinks(booking: Booking, calls: list[Call], at: Timestamp, policy: Policy, keep_free: int) -> list[TalkLimit]:
    fair = _fair(booking, calls, at, policy, keep_free)
    return [
        _limit(replace(call, seconds_leased=fair[call.call_id]), booking, at)
        for call in calls
        if fair.get(call.call_id, call.seconds_leased) < call.seconds_leased
    ]


def apply_shares(
    tx: Transaction,
    booking_id: BookingId,
    shrunk: Mapping[CallId, int],
    at: Timestamp,
    policy: Policy,
    *,
    keep_free: int = 0,
) -> list[TalkLimit]:
    """Writes the leases whose limits Asterisk has lowered, then raises the leases that may grow.

    Args:
        tx: The transaction.
        booking_id: The booking.
        shrunk: The lowered leases in seconds, by call.
        at: Now.
        policy: The operator's choices.
        keep_free: Seconds to set aside for a call that is about to ring.

    Returns:
        The larger limits, which Asterisk must set now.
    """
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    calls = []
    for call in tx.calls.up_on(booking_id):
        lowered = min(call.seconds_leased, shrunk.get(call.call_id, call.seconds_leased))
        booking, kept = _move(tx, booking, call, lowered)
        calls.append(kept)
    return _share(tx, booking, calls, at, policy, keep_free).raised_limits


def _share(
    tx: Transaction, booking: Booking, calls: list[Call], at: Timestamp, policy: Policy, keep_free: int
) -> _Shares:
    """Raises the leases that may grow."""
    fair = _fair(booking, calls, at, policy, keep_free)
    shared, raised_limits = [], []
    for call in calls:
        spare = max(0, booking.seconds.remaining - keep_free)
        target = max(call.seconds_leased, min(fair.get(call.call_id, 0), call.seconds_leased + spare))
        booking, kept = _move(tx, booking, call, target)
        shared.append(kept)
        if kept is not call:
            raised_limits.append(_limit(kept, booking, at))
    return _Shares(booking, shared, raised_limits)


def limit_of(tx: Transaction, call_id: CallId, at: Timestamp) -> TalkLimit | None:
    """Returns the present limit of a talking call; None if it does not talk or must end."""
    call = tx.calls.by_id(call_id)
    limits = [] if call is None else limits_on(tx, call.booking_id, at)
    return next((limit for limit in limits if limit.call_id == call_id), None)


def limits_on(tx: Transaction, booking_id: BookingId, at: Timestamp) -> list[TalkLimit]:
    """Returns the present limits of all talking calls on a booking; none if it is gone, as its calls must end."""
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    talking = [call for call in tx.calls.up_on(booking_id) if call.state is CallState.LIVE]
    return [_limit(call, booking, at) for call in talking if call.callee_channel is not None]


def bookings_with_talk(tx: Transaction) -> list[BookingId]:
    """Returns the bookings with a talking call."""
    return tx.calls.bookings_with_talk()


def bookings_overrun(tx: Transaction, boot_ms: BootMs) -> list[BookingId]:
    """Returns the bookings with a call that talks past its lease.

    That happens if Asterisk lost the limit, or measures it by a clock that was set. `boot_ms` is now, in milliseconds
    since the machine's start.
    """
    return tx.calls.bookings_overrun(BootMs(boot_ms - OVERRUN_MS))


def bookings_to_share(tx: Transaction, at: Timestamp, policy: Policy) -> list[BookingId]:
    """Returns the bookings with idle seconds that their talking calls could use.

    A script that settles an end can be cut off before it starts the sharing.
    """
    found = []
    for booking in tx.bookings.talking_with_seconds_idle():
        calls = tx.calls.up_on(booking.id)
        fair = _fair(booking, calls, at, policy, keep_free=0)
        if any(fair.get(call.call_id, 0) > call.seconds_leased for call in calls):
            found.append(booking.id)
    return found


def _fair(booking: Booking, calls: list[Call], at: Timestamp, policy: Policy, keep_free: int) -> dict[CallId, int]:
    holdings = [holding(call, booking, at, policy) for call in calls]
    return fair_leases(booking.seconds.remaining, holdings, keep_free=keep_free)


def holding(call: Call, booking: Booking, at: Timestamp, policy: Policy) -> Holding:
    """Returns what the rule for sharing needs of a call."""
    # The first second begins with the answer, so no lease ever shrinks to nothing.
    used = max(1, -(-_talked_ms(call, at) // 1000))
    until_end = -(-max(0, booking.end_at - at.wall_ms) // 1000)
    longest = max(1, min(longest_call(booking, policy), used + until_end))
    return Holding(call.call_id, call.state, call.seconds_leased, used, longest)


def _limit(call: Call, booking: Booking, at: Timestamp) -> TalkLimit:
    left = talk_limit_ms(call.seconds_leased, _talked_ms(call, at), booking.end_at - at.wall_ms)
    return TalkLimit(call.call_id, call.callee_channel or "", call.seconds_leased, left, at.boot_ms)


def _move(tx: Transaction, booking: Booking, call: Call, leased: int) -> tuple[Booking, Call]:
    if leased == call.seconds_leased:
        return booking, call
    moved = bookings.move_leases(booking, leased - call.seconds_leased)
    changed = replace(call, seconds_leased=leased)
    tx.bookings.update_credit(moved)
    tx.calls.update(changed)
    return moved, changed


def _talked_ms(call: Call, at: Timestamp) -> int:
    return 0 if call.answered is None else max(0, at.boot_ms - call.answered.boot_ms)
