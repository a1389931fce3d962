"""How long commits take, and how many commands share one."""

from engine.runtime.tallies import Histogram
from engine.storage.jobs import MAX_BATCH

# In seconds. A commit is one fsync: from below a millisecond on a fast disk to seconds on one that fails.
COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class StorageTallies:
    """What the storage counts where it commits: SQLite's thread, or the event loop with PostgreSQL.

    Attributes:
        commit_seconds: How long each batch took, from its beginning until it was on the disk.
        failures: Batches of which nothing was kept.
    """

    def __init__(self) -> None:
        self.commit_seconds = Histogram(COMMIT_BOUNDS)
        self.failures = 0
        # By the number of commands: there are few, so that no bucket has to be looked for.
        self._batches = [0] * (MAX_BATCH + 1)

    def note_commit(self, commands: int, seconds: float) -> None:
        """Counts a batch of `commands` that took `seconds` until it was on the disk."""
        self.commit_seconds.add(seconds)
        self._batches[commands] += 1

    def batch_commands(self) -> Histogram:
        """Returns how many commands the batches had."""
        sizes = Histogram(BATCH_BOUNDS)
        for commands, batches in enumerate(self._batches):
            sizes.add(commands, batches)
        return sizes
