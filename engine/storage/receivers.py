"""The table of callback receivers: who has agreed to get callbacks, and how fast the others were tried.

A row is kept for a month after a success, and for an hour after an attempt to a receiver that has not agreed. By then
the attempt no longer delays anything, so that invented host names do not fill the table.
"""

from engine.domain.pacing import NOT_PACED
from engine.domain.times import DAY_MS, HOUR_MS, EpochMs
from engine.storage.table import Table

AGREED_KEPT_MS = 30 * DAY_MS
PACED_KEPT_MS = HOUR_MS


class Receivers(Table):
    """Receivers by the digests of their origins, see engine/callbacks/receiver.py."""

    def find(self, digest: str) -> tuple[bool, EpochMs]:
        """Returns whether the receiver has answered with 2xx, and up to when its pace is used up."""
        row = self._sql.callback_receiver(self._db, digest=digest)
        return (False, NOT_PACED) if row is None else (row["agreed_at"] is not None, row["paced_until"])

    def note_agreed(self, digest: str, now: EpochMs) -> None:
        """Notes a 2xx. It writes at most once a day for each receiver."""
        self._sql.note_receiver_agreed(
            self._db, digest=digest, now=now, unless_since=now - DAY_MS, kept_until=now + AGREED_KEPT_MS
        )

    def note_pace(self, digest: str, paced_until: EpochMs, now: EpochMs) -> None:
        """Notes an attempt that uses up some of the receiver's pace."""
        self._sql.note_receiver_pace(self._db, digest=digest, paced_until=paced_until, kept_until=now + PACED_KEPT_MS)

    def delete_unused(self, now: EpochMs, limit: int) -> int:
        """Deletes receivers that were kept long enough. Returns how many."""
        return int(self._sql.delete_unused_receivers(self._db, now=now, at_most=limit))
