"""Asterisks whose engines are silent, and how an operator has one forgotten that is off.

Nobody but a person, or what has cut a machine's power, can know that a silent Asterisk has no calls any more: an
Asterisk whose engine was killed and whose network was cut is as silent, and its calls go on within their leases. So its
calls are settled when their leases are over, or when an operator says that it is off.
"""

from asyncio import sleep
from functools import partial

from engine.asterisk.keepership import BEAT_SECONDS, LOST_SECONDS, TAKE_OVER_SECONDS
from engine.calls.lifecycle import Settlement
from engine.calls.reconciliation import settle_calls_of
from engine.domain.errors import RentedNumbersError
from engine.domain.policy import Policy
from engine.domain.times import BootMs, EpochMs, rfc3339
from engine.runtime.clock import Clock
from engine.storage.interface import Storage
from engine.storage.keepers import Kept, KeptAsterisk
from engine.storage.transaction import Transaction

# Several beats.
WATCH_SECONDS = 3 * BEAT_SECONDS
SETTLED_AT_ONCE = 100
# After a keeper's last beat, a second engine of its Asterisk puts calls through before it becomes the keeper itself.
# The machines' clocks may differ by a second.
CALLS_AFTER_BEAT_MS = round((TAKE_OVER_SECONDS + 1) * 1000)


class AsteriskLives(RentedNumbersError):
    """An engine keeps the Asterisk."""


def silent_since(now: EpochMs) -> EpochMs:
    """Returns since when a keeper must not have beaten for its Asterisk to count as silent."""
    return EpochMs(now - round(LOST_SECONDS * 1000))


def require_silent(found: KeptAsterisk, now: EpochMs) -> None:
    """Refuses an Asterisk whose keeper has beaten just now. Raises AsteriskLives."""
    if found.beaten_at and not found.is_silent(silent_since(now)):
        raise AsteriskLives(
            f"its engine on {found.host} was last heard of at {rfc3339(found.beaten_at)}:"
            f" {LOST_SECONDS:.0f} seconds of silence are needed"
        )


async def forget(storage: Storage, clock: Clock, policy: Policy, asterisk: str, off_at: EpochMs) -> int:
    """Settles the calls of an Asterisk that is off, and deletes what is known of it.

    Args:
        storage: The database.
        clock: Its ticks are those of all engines on the database.
        policy: The operator's rules.
        asterisk: The Asterisk.
        off_at: Since when it is off.

    Returns:
        How many calls were settled.

    Raises:
        AsteriskLives: Its keeper beats.
        StorageError: The database failed. What was settled stays settled.
    """
    before = await storage.run(_row_of, asterisk)
    await sleep(WATCH_SECONDS)
    at = clock.timestamp()
    settle = partial(_settle_some, asterisk, before, BootMs(off_at - at.wall_ahead_ms), at.wall_ms, policy)
    calls = 0
    while settled := await storage.run(settle):
        calls += len(settled)
    return calls


def _row_of(tx: Transaction, asterisk: str) -> Kept | None:
    return tx.keepers.of(asterisk)


def _settle_some(
    asterisk: str, before: Kept | None, off_ticks: BootMs, now: EpochMs, policy: Policy, tx: Transaction
) -> list[Settlement]:
    """Settles some calls; with the last of them, the Asterisk is forgotten. Raises AsteriskLives."""
    # An engine that has just started decides on calls some seconds before it becomes the keeper.
    if tx.keepers.of(asterisk) != before or tx.keepers.calls_since_beat(asterisk, CALLS_AFTER_BEAT_MS):
        raise AsteriskLives("its engine is there again")
    settled = settle_calls_of(tx, asterisk, off_ticks, now, policy, SETTLED_AT_ONCE)
    if not settled:
        tx.keepers.forget(asterisk, before)
    return settled
