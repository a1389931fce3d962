"""Compares the database with the calls that Asterisk reports as up, and repairs the differences.

Reports of answers and ends can be lost. This module finds calls that talk although no answer was reported, calls that
Asterisk no longer has, and calls that are up although they were settled.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from engine.callbacks import notifications
from engine.calls.lifecycle import Settlement, called_by, settle
from engine.cdr.write import CallOutcome
from engine.domain.call_ends import LOST
from engine.domain.dispositions import Disposition
from engine.domain.ids import BookingId, CallId
from engine.domain.metering import CallEvent, CallState, next_state, seconds_charged
from engine.domain.policy import Policy
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.calls import Call
from engine.storage.transaction import Transaction

# Asterisk's list of channels is always used before it is this old.
MAX_LIST_AGE_MS = 60_000


@dataclass(frozen=True, slots=True)
class LiveChannels:
    """What Asterisk reports as up.

    Attributes:
        calls: Unique ids of all channels, callers' and others.
        talking: Unique id of the caller's channel → that of the callee's channel, for bridged calls.
        callers: The ids in `calls` that certainly belong to callers' channels.
        by_trunk: How many channels lead over each trunk.
    """

    calls: AbstractSet[CallId]
    talking: Mapping[CallId, str]
    callers: AbstractSet[CallId] = frozenset()
    by_trunk: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundTalking:
    """A call that talks although its answer was not reported; its lease is in seconds."""

    call_id: CallId
    callee_channel: str
    leased: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the database and Asterisk.

    Attributes:
        found: Calls that talk although the database has them as RINGING.
        missing: Calls that are up in the database since before the question, but not in Asterisk.
        unmetered: Calls that are up in Asterisk although they are settled. They must end, as nothing limits their cost.
    """

    found: list[FoundTalking]
    missing: set[CallId]
    unmetered: set[CallId]


def compare_with_asterisk(
    tx: Transaction, channels: LiveChannels, asked_ticks: BootMs, asterisk: str = ""
) -> Comparison:
    """Compares the database with an Asterisk's list, and notes which calls were seen in it.

    Args:
        tx: The transaction.
        channels: Asterisk's list.
        asked_ticks: When the list was requested, in milliseconds since the machine's start.
        asterisk: The Asterisk's name.
    """
    # A call that seems to start after the list was used began before the machine's last restart, which reset the clock.
    before_restart = asked_ticks + MAX_LIST_AGE_MS
    found, unseen, missing, up = [], [], set(), set()
    for call in tx.calls.up_briefly(asterisk):
        up.add(call.call_id)
        if call.call_id not in channels.calls:
            unseen.append(call)
            if not asked_ticks <= call.started_ticks <= before_restart:
                missing.add(call.call_id)
        elif call.state is CallState.RINGING and call.call_id in channels.talking:
            found.append(FoundTalking(call.call_id, channels.talking[call.call_id], call.seconds_leased))
    # One statement for all calls and one for each exception: there may be ten thousand calls.
    tx.calls.all_seen(asterisk, asked_ticks)
    tx.calls.last_seen(unseen)
    unmetered = {call_id for call_id in channels.callers - up if tx.calls.has_ended(call_id)}
    return Comparison(found, missing, unmetered)


def begin_found(
    tx: Transaction, found: FoundTalking, at: Timestamp, *, left_ms: int | None, asterisk_now: EpochMs | None
) -> BookingId | None:
    """Makes a call that was found talking LIVE. Derives the time of its answer from its limit in Asterisk.

    Args:
        tx: The transaction.
        found: The call.
        at: Now.
        left_ms: What Asterisk has left of the call's limit. None if unknown; then the call counts as answered for as
            long as it can have been.
        asterisk_now: `at.wall_ms` by Asterisk's wall clock, if known.

    Returns:
        The booking, whose seconds must be shared again; None if the call is not RINGING any more.
    """
    called = tx.call_path.called(found.call_id)
    if called is None or called.call.state is not CallState.RINGING:
        return None
    call = called.call
    most_ms = min(call.seconds_leased * 1000, max(0, at.boot_ms - call.started_ticks))
    talked_ms = most_ms if left_ms is None else min(most_ms, max(0, call.seconds_leased * 1000 - left_ms))
    by_asterisk = at.with_wall(asterisk_now)
    tx.calls.update(
        replace(
            call,
            state=next_state(call.state, CallEvent.ANSWERED),
            callee_channel=found.callee_channel,
            answered=Timestamp(EpochMs(by_asterisk.wall_ms - talked_ms), BootMs(by_asterisk.boot_ms - talked_ms)),
            seen_ticks=at.boot_ms,
        )
    )
    notifications.notify_call_started(tx, called_by(tx, call.call_id), EpochMs(at.wall_ms - talked_ms), at.wall_ms)
    return call.booking_id


def settle_vanished(tx: Transaction, vanished: AbstractSet[CallId], now: EpochMs, policy: Policy) -> list[Settlement]:
    """Settles calls that are no longer up in Asterisk although no end was reported.

    An answered call is charged until it was last seen up: at least one second, and never more than its lease. A call
    that only rang is free.
    """
    settled = []
    for call_id in sorted(vanished):
        called = tx.call_path.called(call_id)
        if called is not None and called.call.ended_at is None:
            outcome = CallOutcome(Disposition.LOST, _known_seconds(called.call), LOST)
            settled.append(settle(tx, called, outcome, now, policy))
    return settled


def settle_overdue(tx: Transaction, at: Timestamp, policy: Policy, limit: int, asterisk: str = "") -> list[Settlement]:
    """Settles up to `limit` calls of an Asterisk that must have ended long ago.

    This is the last resort, and works without Asterisk.
    An answered call may have used its whole lease and is charged for it. A call that only rang is free.
    """
    ring_ms = policy.ring_seconds * 1000
    margin_ms = policy.lost_call_margin_ms
    overdue = tx.calls.overdue(at.boot_ms, asterisk, ring_ms=ring_ms, margin_ms=margin_ms, limit=limit)
    settled = []
    for call_id in sorted(call.call_id for call in overdue):
        called = called_by(tx, call_id)
        if called.call.ended_at is None:  # another engine may have settled it just now
            charged = called.call.seconds_leased if called.call.state is CallState.LIVE else 0
            settled.append(settle(tx, called, CallOutcome(Disposition.LOST, charged, LOST), at.wall_ms, policy))
    return settled


def settle_calls_of(
    tx: Transaction, asterisk: str, off_ticks: BootMs, now: EpochMs, policy: Policy, limit: int
) -> list[Settlement]:
    """Settles up to `limit` calls of an Asterisk that is off, as an operator has said.

    An answered call is charged until `off_ticks`, or until it was last seen up if that is later: at least one second,
    and never more than its lease. A call that only rang is free.
    """
    settled = []
    for call_id in sorted(call.call_id for call in tx.calls.up_in(asterisk, limit)):
        called = called_by(tx, call_id)
        if called.call.ended_at is None:
            outcome = CallOutcome(Disposition.LOST, _known_seconds(called.call, off_ticks), LOST)
            settled.append(settle(tx, called, outcome, now, policy))
    return settled


def _known_seconds(call: Call, off_ticks: BootMs | None = None) -> int:
    if call.answered is None:
        return 0
    last_ticks = max(call.seen_ticks or call.answered.boot_ms, off_ticks or 0)
    return max(1, seconds_charged(last_ticks - call.answered.boot_ms, call.seconds_leased))
