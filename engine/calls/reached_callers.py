"""Notes who has reached a rented number, so that a former caller does not reach the number's next owner.

This is written from call records, in slices, behind the calls: no statement of a call's path waits for it. A number is
given away after its quarantine, and by then its callers are noted.
"""

from engine.domain.caller_digests import person_digest, reached_digest
from engine.domain.directions import Direction
from engine.domain.ids import BookingId
from engine.domain.numbers import E164, is_e164, is_simulated
from engine.domain.times import EpochMs
from engine.runtime.ids import first_id
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction

# Records that one transaction reads, so that no call waits long for the database, and transactions of one sweep.
SLICE = 200
MAX_SLICES = 50
# A record gets its id some time before it is committed. Younger records wait for the next sweep, so that none is missed
# that another engine commits late.
MARGIN_MS = 10_000


async def note_all_reached(storage: Storage, now: EpochMs, pepper: str) -> int:
    """Notes the callers of the records since the last time. Calls can use the database in between.

    Args:
        storage: The database.
        now: The present time by the machine's clock.
        pepper: The secret with which digests are made.

    Returns:
        How many records it read.

    Raises:
        StorageError: The database failed. What was committed before stays noted.
    """
    total = 0
    for _ in range(MAX_SLICES):
        read = await storage.run(note_some_reached, EpochMs(now - MARGIN_MS), pepper)
        total += read
        if read < SLICE:
            break
    return total


def note_some_reached(tx: Transaction, before: EpochMs, pepper: str) -> int:
    """Notes the callers of up to `SLICE` records that were written before an instant. Returns how many it read."""
    records = tx.reached_callers.records_to_note(first_id("cdr", before), SLICE)
    for record in records:
        # In a reverse call the hidden number has called. A simulated call is noted at once.
        if record.duration and record.direction != Direction.REVERSE and not is_simulated(record.service):
            note_reached(tx, record.service, record.source, record.booking_id, record.started_at, pepper)
    if records:
        tx.reached_callers.set_noted(records[-1].id)
    return len(records)


def note_reached(
    tx: Transaction, service: E164, source: str, booking_id: BookingId, reached_at: EpochMs, pepper: str
) -> None:
    """Notes that a caller has reached a booking, unless the caller cannot be recognised by a number."""
    digest = digest_of_caller(pepper, service, source)
    if digest:
        tx.reached_callers.note(service, digest, booking_id, reached_at)


def digest_of_caller(pepper: str, service: E164, source: str) -> str:
    """Returns the digest of a caller of a number; empty if the caller withholds the number or has none in E.164."""
    return reached_digest(person_digest(pepper, source), service) if is_e164(source) else ""
