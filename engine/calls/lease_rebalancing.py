"""The use cases of calls that talk: how they share what is left.

`plan_shrinks` → Asterisk lowers those limits → `apply_shares` books them and grows the others → Asterisk raises
theirs. Whatever fails in between leaves a lease in the books that is at least the limit in Asterisk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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

# A call that is cut at its limit is reported well within this time, or nobody cut it.
OVERRUN_MS = 2_000


@dataclass(frozen=True, slots=True)
class TalkLimit:
    """What the callee's channel of a call should be told: `left_ms` from `at_ticks` on. `leased`: the whole seconds
    behind it."""

    call_id: CallId
    channel: str
    leased: int
    left_ms: int
    at_ticks: BootMs


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """A call just answered. `limit` None: it must end. `crowded`: others should give it some of theirs. `again`: that
    it was answered is known already, people talk and it has its limit. `grown`: of others, for Asterisk to be told:
    what an end has just given back goes to all."""

    limit: TalkLimit | None
    crowded: bool
    again: bool = False
    grown: tuple[TalkLimit, ...] = ()


def begin_talk(
    tx: Transaction,
    call_id: CallId,
    callee_channel: str,
    at: Timestamp,
    policy: Policy,
    *,
    asterisk_now: EpochMs | None = None,
) -> AnswerResult:
    """Note the answer and lease all that nobody else holds: everything there is to do for a call that is alone.

    `asterisk_now`: `at.now` by Asterisk's wall clock, where that is known.
    """
    answer = answered_call(tx, call_id, callee_channel, at, asterisk_now=asterisk_now)
    if answer is None:
        return AnswerResult(None, crowded=False)
    if answer.again:
        # Nothing is leased that it would not be told of.
        tx.calls.update(answer.call)
        return AnswerResult(_limit(answer.call, answer.booking, at), crowded=False, again=True)
    booking, calls, grown = _share(tx, answer.booking, _beside(tx, answer), at, policy, keep_free=0)
    [own] = [call for call in calls if call.call_id == call_id]
    if own is answer.call:
        tx.calls.update(own)  # its lease stays, so that nothing has written it down yet
    return AnswerResult(
        _limit(own, booking, at),
        crowded=bool(_shrinks(booking, calls, at, policy, keep_free=0)),
        grown=tuple(limit for limit in grown if limit.call_id != call_id),
    )


def _beside(tx: Transaction, answer: AnsweredCall) -> list[Call]:
    """The call that was answered just now among those that are up on its booking."""
    if answer.booking.calls.leased == 1:
        return [answer.call]  # each that is up holds one
    return [answer.call if call.call_id == answer.call.call_id else call for call in tx.calls.up_on(answer.booking.id)]


def plan_shrinks(
    tx: Transaction, booking_id: BookingId, at: Timestamp, policy: Policy, keep_free: int = 0
) -> list[TalkLimit]:
    """The calls whose lease must shrink for the others' sake. Writes nothing."""
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
    """Book the leases that Asterisk has lowered (`shrunk`: call id → seconds), then grow those that may.

    Returns the limits of all talking calls that grew, for Asterisk to be told.
    """
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    calls = []
    for call in tx.calls.up_on(booking_id):
        lowered = min(call.seconds_leased, shrunk.get(call.call_id, call.seconds_leased))
        booking, kept = _move(tx, booking, call, lowered)
        calls.append(kept)
    return _share(tx, booking, calls, at, policy, keep_free)[2]


def _share(
    tx: Transaction, booking: Booking, calls: list[Call], at: Timestamp, policy: Policy, keep_free: int
) -> tuple[Booking, list[Call], list[TalkLimit]]:
    """Grow the leases that may. The booking and the calls as they are then, and the limits of those that grew."""
    fair = _fair(booking, calls, at, policy, keep_free)
    shared, grown = [], []
    for call in calls:
        spare = max(0, booking.seconds.remaining - keep_free)
        target = max(call.seconds_leased, min(fair.get(call.call_id, 0), call.seconds_leased + spare))
        booking, kept = _move(tx, booking, call, target)
        shared.append(kept)
        if kept is not call:
            grown.append(_limit(kept, booking, at))
    return booking, shared, grown


def limit_of(tx: Transaction, call_id: CallId, at: Timestamp) -> TalkLimit | None:
    """The present limit of a talking call; None when it is not talking, or must end."""
    call = tx.calls.by_id(call_id)
    return (
        None
        if call is None
        else next((each for each in limits_on(tx, call.booking_id, at) if each.call_id == call_id), None)
    )


def limits_on(tx: Transaction, booking_id: BookingId, at: Timestamp) -> list[TalkLimit]:
    """The present limits of all talking calls; none when the booking is gone: they must end."""
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    talking = [call for call in tx.calls.up_on(booking_id) if call.state is CallState.LIVE]
    return [_limit(call, booking, at) for call in talking if call.callee_channel is not None]


def bookings_with_talk(tx: Transaction) -> list[BookingId]:
    return tx.calls.bookings_with_talk()


def bookings_overrun(tx: Transaction, ticks: BootMs) -> list[BookingId]:
    """Bookings with a call that talks past its lease: Asterisk lost its limit, or keeps it by a clock that was set."""
    return tx.calls.bookings_overrun(BootMs(ticks - OVERRUN_MS))


def bookings_to_share(tx: Transaction, at: Timestamp, policy: Policy) -> list[BookingId]:
    """Bookings that have seconds lying idle while their calls could use them: an end was settled, and nobody heard."""
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
    # Its first second has begun with its answer: no lease ever shrinks to nothing.
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
