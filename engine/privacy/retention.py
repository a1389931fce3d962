"""Retention: deletes what has been kept long enough.

This concerns call records, finished callbacks, endpoints and receivers that are no longer used, stored answers of
idempotent requests, webhook secrets that no longer sign, notes of refused calls that were only counted, digests of
callers who have not called for a year, and the personal data of bookings that are gone.

It runs in short transactions. Each deletes the oldest rows in the order of their ids, which is the order of time, so it
takes as long for ten million records as for ten. A settled call is deleted together with its record, and its cost is
added to a sum on its booking, so the books still add up (see engine/cdr/ledger.py).
"""

from collections import Counter
from dataclasses import astuple, dataclass
from itertools import takewhile
from operator import add

from engine.accounts.idempotency import KEPT_MS
from engine.cdr.refused import REPEATED_MS
from engine.domain.caller_digests import FORMER_CALLER_MS
from engine.domain.ids import BookingId
from engine.domain.policy import RetentionPeriods
from engine.domain.times import DAY_MS, EpochMs
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction

# Rows of each kind that one transaction deletes, so that no call waits long for the database.
BATCH = 50
# A sandbox's callbacks are deleted this long after they finished, its records this long after their calls, unless the
# operator's periods are shorter: what is only tried out does not fill the disk.
SANDBOX_CALLBACKS_MS = 3 * DAY_MS
SANDBOX_RECORDS_MS = 30 * DAY_MS
# Transactions of one sweep: with a sweep every ten seconds, it can delete a thousand records a second.
MAX_BATCHES = 200


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """How many rows of each kind a transaction or a sweep has deleted; of bookings, whose personal data it deleted."""

    records: int = 0
    callbacks: int = 0
    bookings: int = 0
    answers: int = 0
    endpoints: int = 0
    receivers: int = 0
    secrets: int = 0
    counted_calls: int = 0
    callers: int = 0

    @property
    def any(self) -> bool:
        """Whether anything was deleted."""
        return any(astuple(self))

    @property
    def is_full(self) -> bool:
        """Whether there may be more to delete."""
        return BATCH in astuple(self)

    def __add__(self, other: "DeletedCounts") -> "DeletedCounts":
        return DeletedCounts(*map(add, astuple(self), astuple(other)))


async def delete_expired(storage: Storage, now: EpochMs, retention: RetentionPeriods) -> DeletedCounts:
    """Deletes what has expired, up to `MAX_BATCHES` transactions. Calls can use the database in between.

    Raises:
        StorageError: The database failed. What was committed before stays deleted.
    """
    total = DeletedCounts()
    for _ in range(MAX_BATCHES):
        batch = await storage.run(delete_batch, now, retention)
        total += batch
        if not batch.is_full:
            break
    return total


def delete_batch(tx: Transaction, now: EpochMs, retention: RetentionPeriods) -> DeletedCounts:
    """Deletes up to `BATCH` expired rows of each kind."""
    return DeletedCounts(
        records=_delete_records(tx, now, retention.records_ms),
        callbacks=_delete_callbacks(tx, now, retention.callbacks_ms),
        bookings=_delete_personal_data(tx, EpochMs(now - retention.bookings_ms)),
        answers=tx.retention.delete_kept_answers(EpochMs(now - KEPT_MS), BATCH),
        endpoints=tx.retention.delete_unused_endpoints(EpochMs(now - retention.callbacks_ms), BATCH),
        receivers=tx.receivers.delete_unused(now, BATCH),
        secrets=tx.retention.forget_old_secrets(now),
        callers=tx.reached_callers.forget(EpochMs(now - FORMER_CALLER_MS), BATCH),
        counted_calls=tx.refused_calls.forget_counted(EpochMs(now - REPEATED_MS), BATCH),
    )


def _delete_callbacks(tx: Transaction, now: EpochMs, kept_ms: int) -> int:
    """Deletes finished callbacks, first those of sandboxes. Returns how many it deleted."""
    before = EpochMs(now - min(kept_ms, SANDBOX_CALLBACKS_MS))
    deleted = tx.retention.delete_finished_callbacks_of_sandboxes(before, BATCH)
    return deleted + tx.retention.delete_finished_callbacks(EpochMs(now - kept_ms), BATCH - deleted)


def _delete_records(tx: Transaction, now: EpochMs, kept_ms: int) -> int:
    """Deletes the oldest records up to the first that has not expired, and those of sandboxes. Returns how many."""
    seconds, calls = Counter[BookingId](), Counter[BookingId]()
    oldest = takewhile(lambda record: record.started_at <= now - kept_ms, tx.retention.oldest_records(BATCH))
    of_sandboxes = tx.retention.oldest_sandbox_records(EpochMs(now - min(kept_ms, SANDBOX_RECORDS_MS)), BATCH)
    expired = list(dict.fromkeys([*oldest, *of_sandboxes]))[:BATCH]
    for record in expired:
        seconds[record.booking_id] += record.duration
        calls[record.booking_id] += record.duration > 0  # an answered call lasts at least one second
    # Bookings are locked before their calls, as by all commands.
    for booking_id in sorted(seconds):
        tx.retention.add_forgotten(booking_id, seconds[booking_id], calls[booking_id])
    for record in expired:
        tx.retention.delete_record(record.id, record.call_id)
    return len(expired)


def _delete_personal_data(tx: Transaction, before: EpochMs) -> int:
    """Deletes the personal data of gone bookings: destination, callback, label, metadata, blocked callers, session.

    The rows stay, with what was granted and spent. Returns how many bookings it handled.
    """
    gone = tx.retention.gone_bookings(before, BATCH)
    for booking_id in gone:
        tx.retention.forget_booking(booking_id)
        tx.blocked.delete_all(booking_id)
        tx.twilio_proxy.delete_session_of(booking_id)
    return len(gone)
