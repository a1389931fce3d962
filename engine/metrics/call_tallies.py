"""Counts real calls that have their records. Calls of sandboxes never reach this: see engine/cdr/write.py."""

from collections.abc import Iterable, Sequence

from engine.domain.call_ends import EndedCall
from engine.domain.dispositions import Disposition
from engine.runtime.tallies import Histogram

# In seconds.
POST_DIAL_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)
ANSWER_BOUNDS = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
# A call that left for a softphone of the demo, or over a trunk that the settings no longer have.
NO_TRUNK = "none"


class CallTallies:
    """What is counted of calls, after the commit that wrote their records.

    Args:
        trunks: The names of the trunks.

    Attributes:
        dispositions: Calls by how they ended.
        post_dial_seconds: For each trunk, how long it took from the INVITE until it rang.
        answer_seconds: How long it took from a call's arrival until it was answered.
        overrun_ms: For how long calls talked beyond their leases.
    """

    def __init__(self, trunks: Iterable[str]) -> None:
        self.dispositions = dict.fromkeys(Disposition, 0)
        self.post_dial_seconds = {name: Histogram(POST_DIAL_BOUNDS) for name in (*trunks, NO_TRUNK)}
        self.answer_seconds = Histogram(ANSWER_BOUNDS)
        self.overrun_ms = 0

    def count(self, calls: Sequence[EndedCall]) -> None:
        """Counts calls whose records have been committed. Runs where the storage commits."""
        for disposition, trunk, ring_ms, answer_ms, overrun_ms in calls:
            self.dispositions[disposition] += 1
            if ring_ms is not None:
                by_trunk = self.post_dial_seconds
                by_trunk[trunk if trunk in by_trunk else NO_TRUNK].add(ring_ms / 1000)
            if answer_ms is not None:
                self.answer_seconds.add(answer_ms / 1000)
            self.overrun_ms += overrun_ms
