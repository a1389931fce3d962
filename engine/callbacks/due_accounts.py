"""When the callbacks of each account are due, so that accounts take turns to be lined up."""

import heapq

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs


class DueAccounts:
    """The accounts with callbacks to deliver, in the order in which their next ones are due."""

    def __init__(self) -> None:
        self._due_at: dict[AccountId, EpochMs] = {}
        self._heap: list[tuple[EpochMs, AccountId]] = []  # an entry is void unless `_due_at` says the same

    def note(self, account_id: AccountId, due_at: EpochMs) -> None:
        """Notes that an account's next callback is due at this time, unless an earlier one is known."""
        if due_at < self._due_at.get(account_id, due_at + 1):
            self._due_at[account_id] = due_at
            heapq.heappush(self._heap, (due_at, account_id))

    def take(self, now: EpochMs, limit: int) -> list[AccountId]:
        """Removes and returns up to `limit` accounts that have a callback due now."""
        taken: list[AccountId] = []
        while len(taken) < limit and (due_at := self.next_due_at()) is not None and due_at <= now:
            taken.append(heapq.heappop(self._heap)[1])
            del self._due_at[taken[-1]]
        return taken

    def next_due_at(self) -> EpochMs | None:
        """Returns when the next callback is due; None if none is known."""
        while self._heap and self._due_at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
