"""The outbox: posting a callback, and the three transactions of its delivery (line up, begin, record).

`worker.py` explains why there are three.
"""

from collections.abc import Collection
from dataclasses import dataclass

from engine.callbacks.fair_queue import Turn
from engine.callbacks.receiver import KnownReceiver, Receiver, receiver_of
from engine.callbacks.slots import QueuedCallback
from engine.domain.booking import Booking
from engine.domain.events import EventBody, as_json, in_envelope
from engine.domain.ids import AccountId, CallId
from engine.domain.retry import (
    AttemptOutcome,
    CallbackState,
    Delivered,
    GiveUp,
    HttpAnswer,
    RetryAfter,
    RetryDecision,
    WhyDisabled,
    is_endpoint_failure,
    why_disabled,
)
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.outbox import AttemptRecord, Delivery, DueCallback
from engine.storage.transaction import Transaction

# A 2xx within this time makes a receiver quick, in milliseconds.
QUICK_MS = 2_000


@dataclass(frozen=True, slots=True)
class LinedUp:
    """Callbacks to deliver now.

    Attributes:
        callbacks: The callbacks, and what is known about their receivers; those of an account oldest first.
        next_due_at: When the next callback of each of the accounts falls due; accounts without one are left out.
        is_releasing: There may be more callbacks that were held for an endpoint enabled since.
    """

    callbacks: list[tuple[QueuedCallback, KnownReceiver]]
    next_due_at: dict[AccountId, EpochMs]
    is_releasing: bool


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A finished attempt.

    Attributes:
        outcome: The HTTP status, or why there was none.
        response: The beginning of the answer's body; empty if there was no answer.
        began_at: When the attempt began.
        took_ms: How long it took, in milliseconds.
    """

    outcome: AttemptOutcome
    response: str
    began_at: EpochMs
    took_ms: int

    @property
    def has_agreed(self) -> bool:
        """Whether the receiver answered with 2xx."""
        return isinstance(self.outcome, HttpAnswer) and self.outcome.is_success

    @property
    def is_quick(self) -> bool:
        """Whether it did so promptly."""
        return self.has_agreed and self.took_ms <= QUICK_MS


def accounts_waiting(tx: Transaction, after: str, limit: int) -> list[tuple[AccountId, EpochMs]]:
    """Returns the accounts after `after` that have callbacks to deliver, and when the first of each is due."""
    return tx.outbox.accounts_waiting(after, limit)


def line_up(tx: Transaction, accounts: Collection[AccountId], now: EpochMs, held_until: EpochMs, limit: int) -> LinedUp:
    """Reserves due callbacks until `held_until`, after releasing those that were held for an endpoint enabled since.

    Args:
        tx: The transaction.
        accounts: The accounts whose callbacks to reserve. Each gets the same share of the limit.
        now: The present time.
        held_until: When the callbacks are due again.
        limit: The most callbacks to reserve.
    """
    released = tx.endpoints.release(now, limit)
    visited = dict.fromkeys(accounts if released is None else [*accounts, released])
    callbacks: list[tuple[QueuedCallback, KnownReceiver]] = []
    next_due_at: dict[AccountId, EpochMs] = {}
    found: dict[Receiver, tuple[bool, EpochMs]] = {}
    for account_id in visited:
        page = tx.outbox.line_up_due(account_id, now, held_until, max(1, limit // len(visited)))
        is_sandbox = bool(page.due) and tx.sandboxes.of(account_id) is not None
        callbacks += [_with_receiver(tx, due, found, is_sandbox=is_sandbox) for due in page.due]
        due_at = tx.outbox.next_due_at(account_id)
        if due_at is not None:
            next_due_at[account_id] = due_at
    return LinedUp(callbacks, next_due_at, released is not None)


def _with_receiver(
    tx: Transaction, due: DueCallback, found: dict[Receiver, tuple[bool, EpochMs]], *, is_sandbox: bool
) -> tuple[QueuedCallback, KnownReceiver]:
    """Looks up a callback's receiver, unless it is among those found before."""
    receiver = receiver_of(due.url)
    if receiver not in found:
        found[receiver] = tx.receivers.find(receiver.digest)
    at_will = due.is_redelivered or due.is_test or is_sandbox
    callback = QueuedCallback(due.event_id, receiver, due.attempts, due.account_id, at_will, is_sandbox)
    return callback, KnownReceiver(*found[receiver], is_quick=due.is_quick)


def begin_all(tx: Transaction, turns: list[Turn], now: EpochMs, claimed_until: int) -> list[Delivery | None]:
    """Counts an attempt of each callback. None stands for a callback that is finished, held or claimed by another."""
    begun = [tx.outbox.begin(turn.callback.event_id, turn.callback.attempts, claimed_until) for turn in turns]
    for turn, delivery in zip(turns, begun, strict=True):
        # Before the attempt, so that a restart gives nobody a new burst.
        if delivery is not None and turn.paced_until is not None:
            tx.receivers.note_pace(turn.callback.receiver.digest, turn.paced_until, now)
    return begun


def record(
    tx: Transaction,
    delivery: Delivery,
    report: DeliveryReport,
    decision: RetryDecision,
    now: EpochMs,
    disable_after_ms: int,
) -> WhyDisabled | None:
    """Stores the result of an attempt: the callback's new state, a log entry, and the endpoint's success or failure.

    If another worker has claimed the callback meanwhile, nothing is stored. What a test event finds out says nothing of
    its endpoint, which other callbacks may never have gone to.

    Args:
        tx: The transaction.
        delivery: The callback, as `begin_all` returned it.
        report: How the attempt went.
        decision: What follows for the callback.
        now: The present time.
        disable_after_ms: How long an endpoint may fail without a success before it is disabled.

    Returns:
        Why the endpoint was disabled just now; None if it was not.
    """
    if not _store_state(tx, delivery, report, decision, now):
        return None
    tx.outbox.log_attempt(delivery.id, _logged(delivery, report))
    if isinstance(decision, Delivered):
        if not delivery.is_test:
            tx.endpoints.note_success(new_id("cep"), delivery, now, is_quick=report.is_quick)
        tx.receivers.note_agreed(receiver_of(delivery.url).digest, now)
        return None
    if delivery.is_test or not is_endpoint_failure(report.outcome):
        return None
    return _note_failure(tx, delivery, report, decision, now, disable_after_ms)


def _store_state(
    tx: Transaction, delivery: Delivery, report: DeliveryReport, decision: RetryDecision, now: EpochMs
) -> bool:
    """Stores the callback's new state. Returns False if another worker has claimed the callback meanwhile."""
    outcome = str(report.outcome)
    match decision:
        case Delivered():
            return tx.outbox.finish(delivery, CallbackState.DELIVERED.value, outcome, now)
        case GiveUp():
            return tx.outbox.finish(delivery, CallbackState.FAILED.value, outcome, now)
        case RetryAfter(ms):
            return tx.outbox.postpone(delivery, EpochMs(now + ms), outcome)


def _note_failure(
    tx: Transaction,
    delivery: Delivery,
    report: DeliveryReport,
    decision: RetryDecision,
    now: EpochMs,
    disable_after_ms: int,
) -> WhyDisabled | None:
    endpoint = tx.endpoints.note_failure(new_id("cep"), delivery, now)
    reason = None
    if endpoint.disabled_at is None:
        reason = why_disabled(
            report.outcome,
            tries=delivery.tries,
            failing_since=now if endpoint.failing_since is None else endpoint.failing_since,
            now=now,
            disable_after_ms=disable_after_ms,
        )
        if reason is not None:
            tx.endpoints.disable(endpoint.id, reason.value, now)
    if isinstance(decision, RetryAfter) and (reason is not None or endpoint.disabled_at is not None):
        tx.outbox.finish(delivery, CallbackState.HELD.value, str(report.outcome), now)
    return reason


def _logged(delivery: Delivery, report: DeliveryReport) -> AttemptRecord:
    outcome = report.outcome
    is_answered = isinstance(outcome, HttpAnswer)
    return AttemptRecord(
        attempt=delivery.attempts,
        began_at=report.began_at,
        took_ms=report.took_ms,
        status=outcome.status if isinstance(outcome, HttpAnswer) else None,
        trouble=None if is_answered else str(outcome),
        response=report.response,
    )


def post(
    tx: Transaction,
    booking: Booking,
    body: EventBody,
    now: EpochMs,
    *,
    call_id: CallId | None = None,
    sequence: int | None = None,
) -> None:
    """Adds a callback to the outbox. The worker is woken after the commit.

    Args:
        tx: The transaction.
        booking: The booking that the callback is about.
        body: The callback's body, without `sequence` and `metadata`.
        now: The present time by the account's clock.
        call_id: The call that the callback is about; None if it is about the booking.
        sequence: The callback's number, if `tx.bookings.update_credit_and_count` has counted it in this transaction.
    """
    if not booking.callback:
        return  # the softphones' bookings have no callback; the API demands one
    if sequence is None:
        # Counted in the same transaction, so that numbers are committed in order and without gaps.
        sequence = tx.outbox.next_sequence(booking.id)
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        call_id=call_id,
        url=booking.callback,
        body=as_json(in_envelope(body, sequence=sequence, metadata=booking.metadata)),
        now=now,
    )
    tx.posted_for |= {booking.account_id}
