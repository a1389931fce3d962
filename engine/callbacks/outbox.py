"""The three transactions of a delivery: lined up, begun, recorded. worker.py says why there are three."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from engine.callbacks.fair_queue import QueuedCallback
from engine.domain.booking import Booking
from engine.domain.events import EventBody, as_json, in_envelope
from engine.domain.retry import (
    AttemptOutcome,
    CallbackState,
    Delivered,
    GiveUp,
    HttpAnswer,
    RetryAfter,
    RetryDecision,
    WhyDisabled,
    is_its_failure,
    why_disabled,
)
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.outbox import AttemptRecord, Delivery
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Storage(Protocol):
    async def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a command in a transaction. Raises StorageError when that is not possible now."""


@dataclass(frozen=True, slots=True)
class DueCallbacks:
    """`due`: (event id, URL, attempts so far, account). `is_full`: there may be more. `next_due_at`: None, if nothing
    waits."""

    due: list[tuple[str, str, int, str]]
    is_full: bool
    next_due_at: EpochMs | None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """An attempt that is over. `began_at`: epoch milliseconds. `response`: the beginning of the answer's body."""

    outcome: AttemptOutcome
    response: str
    began_at: EpochMs
    took_ms: int


def line_up(tx: Transaction, now: EpochMs, held_until: EpochMs, at_most: int) -> DueCallbacks:
    tx.endpoints.release(now, at_most)
    due, looked_at = tx.outbox.line_up_due(now, held_until, at_most)
    return DueCallbacks(due, looked_at == at_most, tx.outbox.next_due_at())


def begin_all(tx: Transaction, chosen: list[QueuedCallback], claimed_until: int) -> list[Delivery | None]:
    return [tx.outbox.begin(waiting.event_id, waiting.attempts, claimed_until) for waiting in chosen]


def record(
    tx: Transaction,
    delivery: Delivery,
    tried: DeliveryReport,
    decision: RetryDecision,
    now: EpochMs,
    disable_after_ms: int,
) -> WhyDisabled | None:
    """What follows for the callback, its line in the log and what it says of the endpoint, kept together or not at all.

    Why that was disabled by it, None if it was not.
    """
    outcome = str(tried.outcome)
    match decision:
        case Delivered():
            is_ours = tx.outbox.finish(delivery, CallbackState.DELIVERED.value, outcome, now)
        case GiveUp():
            is_ours = tx.outbox.finish(delivery, CallbackState.FAILED.value, outcome, now)
        case RetryAfter(ms):
            is_ours = tx.outbox.postpone(delivery, EpochMs(now + ms), outcome)
    if not is_ours:
        return None
    tx.outbox.log_attempt(delivery.id, _logged(delivery, tried))
    if isinstance(decision, Delivered):
        tx.endpoints.note_success(new_id("cep"), delivery, now)
        return None
    if not is_its_failure(tried.outcome):
        return None
    return _note_failure(tx, delivery, tried, decision, now, disable_after_ms)


def _note_failure(
    tx: Transaction,
    delivery: Delivery,
    tried: DeliveryReport,
    decision: RetryDecision,
    now: EpochMs,
    disable_after_ms: int,
) -> WhyDisabled | None:
    endpoint = tx.endpoints.note_failure(new_id("cep"), delivery, now)
    reason = None
    if endpoint.disabled_at is None:
        reason = why_disabled(
            tried.outcome,
            tries=delivery.tries,
            failing_since=now if endpoint.failing_since is None else endpoint.failing_since,
            now=now,
            disable_after_ms=disable_after_ms,
        )
        if reason is not None:
            tx.endpoints.disable(endpoint.id, reason.value, now)
    if isinstance(decision, RetryAfter) and (reason is not None or endpoint.disabled_at is not None):
        tx.outbox.finish(delivery, CallbackState.HELD.value, str(tried.outcome), now)
    return reason


def _logged(delivery: Delivery, tried: DeliveryReport) -> AttemptRecord:
    outcome = tried.outcome
    is_answered = isinstance(outcome, HttpAnswer)
    return AttemptRecord(
        attempt=delivery.attempts,
        began_at=tried.began_at,
        took_ms=tried.took_ms,
        status=outcome.status if isinstance(outcome, HttpAnswer) else None,
        trouble=None if is_answered else str(outcome),
        response=tried.response,
    )


def post(tx: Transaction, booking: Booking, body: EventBody, now: EpochMs) -> None:
    """Have the booking's owner told. The worker is woken after the commit.

    `now`: by the clock that the booking lives by.
    """
    if not booking.callback:
        return  # the engine's own bookings (softphones) have nobody to tell; the API demands a callback
    # Counted in the same transaction: commits are in the order of the numbers, without gaps.
    sequence = tx.outbox.next_sequence(booking.id)
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        url=booking.callback,
        body=as_json(in_envelope(body, sequence=sequence, metadata=booking.metadata)),
        now=now,
    )
    tx.posted = True
