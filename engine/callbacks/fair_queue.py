"""A fair queue: divides the delivery slots among many receivers, so that no receiver starves another.

There is one queue for each account and receiver (host and port). Accounts have queues of their own because customers
share hosts: one account's failing URL must not delay another account's callbacks to the same host.

A receiver that hangs keeps each of its slots for a whole timeout. Its share is therefore limited:

- A queue is *responsive* if its last attempt brought a 2xx within a short time.
- Any other queue (new, slow, failing) gets one slot, and all of these together get at most half of the slots. However
  many receivers hang, the responsive ones share the other half.
- All queues to one receiver together get at most a quarter of the slots.

The memory is limited too. When it is full, a callback for a short queue replaces the last one of the longest queue.

The queues take turns, and each is first in, first out. The module does no I/O and reads no clock.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from engine.domain.ids import AccountId

# A callback that finds no room stays in the database and is found again when its hold is over, see worker.py.
MAX_IN_QUEUE = 10_000
MAX_IN_ALL = 50_000
MAX_RESPONSIVE = 10_000


class Receiver(NamedTuple):
    """Where callbacks are sent to.

    Attributes:
        host: The URL's host; empty if the URL cannot be parsed.
        port: The URL's port, or the default port of its scheme; None if the URL cannot be parsed.
    """

    host: str
    port: int | None


class QueueKey(NamedTuple):
    """What identifies a queue."""

    account_id: AccountId
    receiver: Receiver


@dataclass(frozen=True, slots=True)
class QueuedCallback:
    """A callback that waits for its turn.

    Attributes:
        event_id: The callback's id.
        receiver: Where it goes.
        attempts: How many attempts it has had.
        account_id: The account that gets it.
    """

    event_id: str
    receiver: Receiver
    attempts: int
    account_id: AccountId

    @property
    def key(self) -> QueueKey:
        """The queue that the callback belongs to."""
        return QueueKey(self.account_id, self.receiver)


@dataclass(slots=True)
class _Queue:
    waiting: dict[str, QueuedCallback] = field(default_factory=dict)  # by event id, in the order of arrival
    under_way: int = 0


def receiver_of(url: str) -> Receiver:
    """Returns the host and port that a URL points to."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return Receiver("", None)
    return Receiver(split.hostname or "", port or (443 if split.scheme == "https" else 80))


class _Lengths:
    """Finds the longest queue in constant time, which works because queues grow and shrink by one."""

    def __init__(self) -> None:
        self.longest = 0
        self._keys: dict[int, dict[QueueKey, None]] = {}  # the queues of each length

    def change(self, key: QueueKey, before: int, after: int) -> None:
        if before:
            del self._keys[before][key]
            if not self._keys[before]:
                del self._keys[before]
        if after:
            self._keys.setdefault(after, {})[key] = None
        if after > self.longest or (before == self.longest and before not in self._keys):
            self.longest = after

    def a_longest(self) -> QueueKey:
        return next(iter(self._keys[self.longest]))


class FairQueue:
    """Waiting callbacks, and the slots that they share."""

    def __init__(self, slots: int) -> None:
        self._free_slots = slots
        self._slots_per_receiver = max(1, slots // 4)
        self._slots_unresponsive = max(1, slots // 2)
        self._waiting = 0
        self._under_way: Counter[Receiver] = Counter()
        self._lengths = _Lengths()
        self._queues: dict[QueueKey, _Queue] = {}  # only those with a callback that waits or is under way
        self._responsive: dict[QueueKey, None] = {}  # an ordered set, the one proven longest ago first

    def add(self, callback: QueuedCallback) -> None:
        """Adds a callback to its queue.

        A callback that is already queued keeps its place. A callback that finds no room is dropped.
        """
        queue = self._queues.setdefault(callback.key, _Queue())
        if callback.event_id in queue.waiting:
            queue.waiting[callback.event_id] = callback
        elif len(queue.waiting) < MAX_IN_QUEUE and self._make_room(len(queue.waiting)):
            queue.waiting[callback.event_id] = callback
            self._length_changed(callback.key, queue, 1)
        self._drop_if_idle(callback.key, queue)

    def choose(self) -> list[QueuedCallback]:
        """Takes the callbacks whose turn it is. Each occupies a slot until it is passed to `release`."""
        chosen: list[QueuedCallback] = []
        while self._free_slots and (turn := list(self._one_of_each())):
            chosen += turn
        return chosen

    def release(self, callback: QueuedCallback, *, responsive: bool | None = None) -> None:
        """Frees a callback's slot.

        Args:
            callback: A callback that `choose` returned.
            responsive: Whether the attempt brought a prompt 2xx; None if there was no attempt.
        """
        key = callback.key
        queue = self._queues[key]
        queue.under_way -= 1
        self._under_way[callback.receiver] -= 1
        if not self._under_way[callback.receiver]:
            del self._under_way[callback.receiver]
        self._free_slots += 1
        if responsive is not None:
            self._responsive.pop(key, None)
        if responsive:
            self._responsive[key] = None
            if len(self._responsive) > MAX_RESPONSIVE:
                del self._responsive[next(iter(self._responsive))]
        self._drop_if_idle(key, queue)

    def _one_of_each(self) -> Iterator[QueuedCallback]:
        unresponsive = sum(queue.under_way for key, queue in self._queues.items() if key not in self._responsive)
        for key, queue in list(self._queues.items()):
            is_responsive = key in self._responsive
            may_start = is_responsive or (queue.under_way == 0 and unresponsive < self._slots_unresponsive)
            receiver_is_full = self._under_way[key.receiver] >= self._slots_per_receiver
            if not (self._free_slots and queue.waiting and may_start) or receiver_is_full:
                continue
            unresponsive += not is_responsive
            self._queues[key] = self._queues.pop(key)  # to the end, so that the next turn begins with another queue
            yield self._take_first(key, queue)

    def _take_first(self, key: QueueKey, queue: _Queue) -> QueuedCallback:
        first = queue.waiting.pop(next(iter(queue.waiting)))
        self._length_changed(key, queue, -1)
        queue.under_way += 1
        self._under_way[first.receiver] += 1
        self._free_slots -= 1
        return first

    def _make_room(self, length: int) -> bool:
        """Makes room for one more callback in a queue of this length. Returns False if that is not possible.

        If necessary, it drops the last callback of the longest queue, unless that would become the shorter one.
        """
        if self._waiting < MAX_IN_ALL:
            return True
        if self._lengths.longest <= length + 1:
            return False
        key = self._lengths.a_longest()
        longest = self._queues[key]
        longest.waiting.popitem()
        self._length_changed(key, longest, -1)
        return True

    def _length_changed(self, key: QueueKey, queue: _Queue, by: int) -> None:
        self._waiting += by
        self._lengths.change(key, len(queue.waiting) - by, len(queue.waiting))

    def _drop_if_idle(self, key: QueueKey, queue: _Queue) -> None:
        if not queue.waiting and not queue.under_way:
            del self._queues[key]
