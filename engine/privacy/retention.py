"""What is kept for a time only: call records, callbacks that are done with, endpoints that nothing is sent to, answers,
secrets that sign no more, and whom a gone booking hid.

Forgetting goes in short transactions, each as long for ten million records as for ten: it takes the oldest by the
order of their ids, which is that of time. A settled call is forgotten together with its record, and what it cost is
added to what its booking has forgotten, so the books add up ever after (see engine/ledger.py).
"""

from collections import Counter
from dataclasses import astuple, dataclass
from itertools import takewhile
from operator import add

from engine.accounts.idempotency import KEPT_MS
from engine.domain.ids import BookingId
from engine.domain.policy import RetentionPeriods
from engine.domain.times import EpochMs
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

# What one transaction forgets of each kind, so that no call ever waits long behind it.
BATCH = 50
# What one sweep does: at one every ten seconds, a thousand records a second.
MAX_BATCHES = 200


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many of each one transaction, or one sweep, has forgotten."""

    records: int = 0
    callbacks: int = 0
    bookings: int = 0
    answers: int = 0
    endpoints: int = 0
    secrets: int = 0

    @property
    def any(self) -> bool:
        return any(astuple(self))

    @property
    def is_full(self) -> bool:
        """There may be more."""
        return BATCH in astuple(self)

    def __add__(self, other: "Forgotten") -> "Forgotten":
        return Forgotten(*map(add, astuple(self), astuple(other)))


async def forget_all(storage: SqliteStorage, now: EpochMs, retention: RetentionPeriods) -> Forgotten:
    """Forget what is due, or as much of it as one sweep should. Calls get their turn after each transaction.

    Raises StorageError; what was forgotten until then stays forgotten.
    """
    total = Forgotten()
    for _ in range(MAX_BATCHES):
        batch = await storage.run(forget, now, retention)
        total += batch
        if not batch.is_full:
            break
    return total


def forget(tx: Transaction, now: EpochMs, retention: RetentionPeriods) -> Forgotten:
    """At most BATCH of each kind."""
    return Forgotten(
        records=_forget_records(tx, now - retention.records_ms),
        callbacks=tx.retention.delete_finished_callbacks(EpochMs(now - retention.callbacks_ms), BATCH),
        bookings=_forget_bookings(tx, EpochMs(now - retention.bookings_ms)),
        answers=tx.retention.delete_kept_answers(EpochMs(now - KEPT_MS), BATCH),
        endpoints=tx.retention.delete_unused_endpoints(EpochMs(now - retention.callbacks_ms), BATCH),
        secrets=tx.retention.forget_old_secrets(now),
    )


def _forget_records(tx: Transaction, before: int) -> int:
    """Up to the first that is young enough."""
    seconds, calls = Counter[str](), Counter[str]()
    old = list(takewhile(lambda record: record.started_at <= before, tx.retention.oldest_records(BATCH)))
    for record in old:
        seconds[record.booking_id] += record.duration
        calls[record.booking_id] += record.duration > 0  # one that was answered has lasted at least a second
        tx.retention.delete_record(record.id, record.call_id)
    for booking_id in seconds:
        tx.retention.add_forgotten(BookingId(booking_id), seconds[booking_id], calls[booking_id])
    return len(old)


def _forget_bookings(tx: Transaction, before: EpochMs) -> int:
    """Their rows stay, with what was granted and spent; whom they hid, told and blocked goes, and what was noted."""
    gone = tx.retention.gone_bookings(before, BATCH)
    for booking_id in gone:
        tx.retention.forget_booking(booking_id)
        tx.blocked.delete_all(booking_id)
    return len(gone)
