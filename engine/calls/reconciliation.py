"""The use cases of what Asterisk says is up: calls that talk unreported, and what became of those it does not know."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from engine.callbacks import notifications
from engine.calls.lifecycle import Settlement, booking_of, settle
from engine.domain.ids import CallId
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged
from engine.domain.policy import Policy
from engine.domain.routing import Disposition
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.transaction import Transaction

# No list that Asterisk gives is as old as this when it is used.
LIST_IS_OLD_MS = 60_000


@dataclass(frozen=True, slots=True)
class LiveChannels:
    """What Asterisk says is up. `calls`: unique ids of callers' channels, and of others; `talking`: those whose callee
    has answered, with the callee's channel. `callers`: those of `calls` that surely are callers'."""

    calls: AbstractSet[CallId]
    talking: Mapping[CallId, str]
    callers: AbstractSet[CallId] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundTalking:
    """A call that talks though its answer was never reported."""

    call_id: CallId
    callee_channel: str
    leased: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`missing`: calls in the books, from before Asterisk was asked, that it does not know. `over`: calls that are up
    in Asterisk though they were settled: nobody meters them any more, so they must end."""

    found: list[FoundTalking]
    missing: set[CallId]
    over: set[CallId]


def compare_with_asterisk(tx: Transaction, presence: LiveChannels, asked_ticks: BootMs) -> Comparison:
    """Compare the books with what Asterisk says was up when it was asked, and note which calls were seen."""
    # Ticks begin anew when the machine does: one that seems to come from the future is older than that.
    reborn = asked_ticks + LIST_IS_OLD_MS
    found, unseen, missing, up = [], [], set(), set()
    for call in tx.calls.up_briefly():
        up.add(call.call_id)
        if call.call_id not in presence.calls:
            unseen.append(call)
            if not asked_ticks <= call.started_ticks <= reborn:
                missing.add(call.call_id)
        elif call.state is CallState.RINGING and call.call_id in presence.talking:
            found.append(FoundTalking(call.call_id, presence.talking[call.call_id], call.seconds_leased))
    # One statement for all and one for each exception, instead of one for each of ten thousand.
    tx.calls.all_seen(asked_ticks)
    tx.calls.last_seen(unseen)
    over = {call_id for call_id in presence.callers - up if tx.calls.has_ended(call_id)}
    return Comparison(found, missing, over)


def begin_found(
    tx: Transaction, found: FoundTalking, at: Timestamp, *, left_ms: int | None, asterisk_now: EpochMs | None
) -> str | None:
    """Note that it talks; since when, its limit in Asterisk tells. Returns its booking, which must be shared anew.

    `left_ms`: what is left of that limit at `at`. None: Asterisk does not say; then as much is taken for used as it can
    have talked at most. `asterisk_now`: `at.now` by Asterisk's wall clock, where that is known.
    """
    call = tx.calls.by_id(found.call_id)
    if call is None or call.state is not CallState.RINGING:
        return None
    most_ms = min(call.seconds_leased * 1000, max(0, at.boot_ms - call.started_ticks))
    talked_ms = most_ms if left_ms is None else min(most_ms, max(0, call.seconds_leased * 1000 - left_ms))
    told = at.with_wall(asterisk_now)
    tx.calls.update(
        replace(
            call,
            state=next_state(call.state, CallEvent.ANSWERED),
            callee_channel=found.callee_channel,
            answered=Timestamp(EpochMs(told.wall_ms - talked_ms), BootMs(told.boot_ms - talked_ms)),
            seen_ticks=at.boot_ms,
        )
    )
    notifications.notify_call_started(tx, booking_of(tx, call), call, EpochMs(at.wall_ms - talked_ms), at.wall_ms)
    return call.booking_id


def settle_vanished(tx: Transaction, vanished: AbstractSet[CallId], now: EpochMs, policy: Policy) -> list[Settlement]:
    """Settle calls that are no longer up in Asterisk and whose end nobody reported.

    The rule: a call that was answered is charged up to the last moment it was known to be up, at least one second,
    never more than its lease; one that only rang is free.
    """
    settled = []
    for call_id in sorted(vanished):
        call = tx.calls.by_id(call_id)
        if call is not None and call.ended_at is None:
            settled.append(settle(tx, call, _known_seconds(call), Disposition.LOST, now, policy))
    return settled


def settle_overdue(tx: Transaction, at: Timestamp, policy: Policy, at_most: int) -> list[Settlement]:
    """Settle calls whose end was never reported though it must long have come; the last resort, without Asterisk.

    The rule: one that was answered may have used all of its lease, and is charged that; one that only rang is free.
    """
    ring_ms = policy.ring_seconds * 1000
    overdue = tx.calls.overdue(at.boot_ms, ring_ms=ring_ms, margin_ms=policy.lost_call_margin_ms, limit=at_most)
    return [
        settle(
            tx, call, call.seconds_leased if call.state is CallState.LIVE else 0, Disposition.LOST, at.wall_ms, policy
        )
        for call in overdue
    ]


def _known_seconds(call: Call) -> int:
    if call.answered is None:
        return 0
    known_ms = (call.seen_ticks or call.answered.boot_ms) - call.answered.boot_ms
    return max(1, seconds_charged(known_ms, call.seconds_leased))
