"""The use cases of calls that are up: sharing what is left, and finding out what became of them.

`plan_shrinks` → Asterisk lowers those limits → `apply_shares` books them and grows the others → Asterisk raises
theirs. Whatever fails in between leaves a lease in the books that is at least the limit in Asterisk.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from engine.calls import Settlement, call_answered, settle
from engine.domain import booking as bookings
from engine.domain.booking import Booking, longest_call
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged, talk_limit_ms
from engine.domain.policy import Policy
from engine.domain.routing import Disposition
from engine.domain.sharing import Holding, fair_leases
from engine.domain.times import Moment
from engine.storage.rows import Call
from engine.storage.transaction import Transaction

# No list that Asterisk gives is as old as this when it is used.
LIST_IS_OLD_MS = 60_000


@dataclass(frozen=True, slots=True)
class Limit:
    """What the callee's channel of a call should be told: `left_ms` from `at_ticks` on. `leased`: the whole seconds
    behind it."""

    call_id: str
    channel: str
    leased: int
    left_ms: int
    at_ticks: int


@dataclass(frozen=True, slots=True)
class Talk:
    """A call just answered. `limit` None: it must end. `crowded`: others should give it some of theirs."""

    limit: Limit | None
    crowded: bool


@dataclass(frozen=True, slots=True)
class Presence:
    """What Asterisk says is up. `calls`: unique ids of callers' channels; `talking`: those whose callee has answered,
    with the callee's channel."""

    calls: AbstractSet[str]
    talking: Mapping[str, str]


def begin_talk(tx: Transaction, booking_id: str, call_id: str, callee_channel: str, at: Moment, policy: Policy) -> Talk:
    """Note the answer and lease all that nobody else holds: everything there is to do for a call that is alone."""
    if not call_answered(tx, call_id, callee_channel, at):
        return Talk(None, crowded=False)
    apply_shares(tx, booking_id, {}, at, policy)
    return Talk(limit_of(tx, call_id, at), crowded=bool(plan_shrinks(tx, booking_id, at, policy)))


def plan_shrinks(tx: Transaction, booking_id: str, at: Moment, policy: Policy, keep_free: int = 0) -> list[Limit]:
    """The calls whose lease must shrink for the others' sake. Writes nothing."""
    booking = tx.bookings.by_id(booking_id)
    if booking is None or booking.gone_at is not None:
        return []
    calls = tx.calls.up_on(booking_id)
    fair = _fair(booking, calls, at, policy, keep_free)
    return [
        _limit(replace(call, seconds_leased=fair[call.call_id]), booking, at)
        for call in calls
        if fair.get(call.call_id, call.seconds_leased) < call.seconds_leased
    ]


def apply_shares(
    tx: Transaction,
    booking_id: str,
    shrunk: Mapping[str, int],
    at: Moment,
    policy: Policy,
    *,
    keep_free: int = 0,
) -> list[Limit]:
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
    fair = _fair(booking, calls, at, policy, keep_free)
    grown = []
    for call in calls:
        spare = max(0, booking.seconds.remaining - keep_free)
        target = min(fair.get(call.call_id, 0), call.seconds_leased + spare)
        if target > call.seconds_leased:
            booking, kept = _move(tx, booking, call, target)
            grown.append(_limit(kept, booking, at))
    return grown


def limit_of(tx: Transaction, call_id: str, at: Moment) -> Limit | None:
    """The present limit of a talking call; None when it is not talking, or must end."""
    call = tx.calls.by_id(call_id)
    if call is None or call.state is not CallState.LIVE or call.callee_channel is None:
        return None
    booking = tx.bookings.by_id(call.booking_id)
    return None if booking is None or booking.gone_at is not None else _limit(call, booking, at)


def bookings_with_talk(tx: Transaction) -> dict[str, list[str]]:
    """Booking id → ids of its talking calls."""
    talking: dict[str, list[str]] = {}
    for call in tx.calls.up():
        if call.state is CallState.LIVE:
            talking.setdefault(call.booking_id, []).append(call.call_id)
    return talking


def bookings_to_share(tx: Transaction, at: Moment, policy: Policy) -> list[str]:
    """Bookings that have seconds lying idle while their calls could use them: an end was settled, and nobody heard."""
    found = []
    for booking_id in bookings_with_talk(tx):
        booking = tx.bookings.by_id(booking_id)
        if booking is not None and booking.gone_at is None and booking.seconds.remaining > 0:
            calls = tx.calls.up_on(booking_id)
            fair = _fair(booking, calls, at, policy, keep_free=0)
            if any(fair.get(call.call_id, 0) > call.seconds_leased for call in calls):
                found.append(booking_id)
    return found


def take_presence(tx: Transaction, presence: Presence, at: Moment) -> set[str]:
    """Note which calls Asterisk says are up, and which talk although their answer was never reported.

    Of those, as much is taken for used as they can have talked at most. Returns their bookings, which must be shared
    anew.
    """
    found = set()
    for call in tx.calls.up():
        if call.call_id not in presence.calls:
            continue
        channel = presence.talking.get(call.call_id)
        if call.state is CallState.RINGING and channel is not None:
            found.add(call.booking_id)
            tx.calls.update(
                replace(
                    call,
                    state=next_state(call.state, CallEvent.ANSWERED),
                    callee_channel=channel,
                    answered=_earliest_answer(call, at),
                    seen_ticks=at.ticks,
                )
            )
        elif call.state is CallState.LIVE:
            tx.calls.update(replace(call, seen_ticks=at.ticks))
    return found


def _earliest_answer(call: Call, at: Moment) -> Moment:
    """No earlier than the call came in, and it would be over if it had talked for all that it leased to begin with."""
    talked_ms = min(call.seconds_leased * 1000, max(0, at.ticks - call.started_ticks))
    return Moment(at.now - talked_ms, at.ticks - talked_ms)


def missing_calls(tx: Transaction, presence: Presence, asked_ticks: int) -> set[str]:
    """Calls in the books, from before Asterisk was asked, that it does not know."""
    # Ticks begin anew when the machine does: one that seems to come from the future is older than that.
    reborn = asked_ticks + LIST_IS_OLD_MS
    return {
        call.call_id
        for call in tx.calls.up()
        if not asked_ticks <= call.started_ticks <= reborn and call.call_id not in presence.calls
    }


def settle_vanished(tx: Transaction, vanished: AbstractSet[str], now: int) -> list[Settlement]:
    """Settle calls that are no longer up in Asterisk and whose end nobody reported.

    The rule: a call that was answered is charged up to the last moment it was known to be up, at least one second,
    never more than its lease; one that only rang is free.
    """
    settled = []
    for call_id in sorted(vanished):
        call = tx.calls.by_id(call_id)
        if call is not None and call.ended_at is None:
            settled.append(settle(tx, call, _known_seconds(call), Disposition.LOST, now))
    return settled


def settle_overdue(tx: Transaction, at: Moment, policy: Policy, at_most: int) -> list[Settlement]:
    """Settle calls whose end was never reported though it must long have come; the last resort, without Asterisk.

    The rule: one that was answered may have used all of its lease, and is charged that; one that only rang is free.
    """
    ring_ms = policy.ring_seconds * 1000
    overdue = tx.calls.overdue(at.ticks, ring_ms=ring_ms, margin_ms=policy.lost_call_margin_ms, at_most=at_most)
    return [
        settle(tx, call, call.seconds_leased if call.state is CallState.LIVE else 0, Disposition.LOST, at.now)
        for call in overdue
    ]


def _fair(booking: Booking, calls: list[Call], at: Moment, policy: Policy, keep_free: int) -> dict[str, int]:
    holdings = [holding(call, booking, at, policy) for call in calls]
    return fair_leases(booking.seconds.remaining, holdings, keep_free=keep_free)


def holding(call: Call, booking: Booking, at: Moment, policy: Policy) -> Holding:
    # Its first second has begun with its answer: no lease ever shrinks to nothing.
    used = max(1, -(-_talked_ms(call, at) // 1000))
    until_end = -(-max(0, booking.end_at - at.now) // 1000)
    longest = max(1, min(longest_call(booking, policy), used + until_end))
    return Holding(call.call_id, call.state, call.seconds_leased, used, longest)


def _limit(call: Call, booking: Booking, at: Moment) -> Limit:
    left = talk_limit_ms(call.seconds_leased, _talked_ms(call, at), booking.end_at - at.now)
    return Limit(call.call_id, call.callee_channel or "", call.seconds_leased, left, at.ticks)


def _move(tx: Transaction, booking: Booking, call: Call, leased: int) -> tuple[Booking, Call]:
    if leased == call.seconds_leased:
        return booking, call
    moved = bookings.move_leases(booking, leased - call.seconds_leased)
    changed = replace(call, seconds_leased=leased)
    tx.bookings.update(moved)
    tx.calls.update(changed)
    return moved, changed


def _talked_ms(call: Call, at: Moment) -> int:
    return 0 if call.answered is None else max(0, at.ticks - call.answered.ticks)


def _known_seconds(call: Call) -> int:
    if call.answered is None:
        return 0
    known_ms = (call.seen_ticks or call.answered.ticks) - call.answered.ticks
    return max(1, seconds_charged(known_ms, call.seconds_leased))
