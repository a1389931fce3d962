"""The three transactions of a delivery: lined up, begun, recorded. worker.py says why there are three."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from engine.callbacks.lanes import Waiting
from engine.domain.retry import Delivered, GiveUp, RetryAfter, RetryDecision
from engine.storage.rows import Delivery
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Storage(Protocol):
    async def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a command in a transaction. Raises StorageError when that is not possible now."""


def line_up(tx: Transaction, now: int, held_until: int, at_most: int) -> tuple[list[tuple[str, str, int]], int | None]:
    """What is due, and when the next row will be."""
    return tx.outbox.line_up_due(now, held_until, at_most), tx.outbox.next_due_at()


def begin_all(tx: Transaction, chosen: list[Waiting], claimed_until: int) -> list[Delivery | None]:
    return [tx.outbox.begin(waiting.event_id, waiting.attempts, claimed_until) for waiting in chosen]


def record(tx: Transaction, delivery: Delivery, outcome: str, decision: RetryDecision, now: int) -> None:
    match decision:
        case Delivered():
            tx.outbox.finish(delivery, "DELIVERED", outcome, now)
        case GiveUp():
            tx.outbox.finish(delivery, "FAILED", outcome, now)
        case RetryAfter(ms):
            tx.outbox.postpone(delivery, now + ms, outcome)
