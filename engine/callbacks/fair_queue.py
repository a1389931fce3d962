"""Whose turn it is: a lane for what each account sends to a receiver (host and port), and free slots shared out among
the lanes. An account's own: many share a host, and none may stand in another's way there.

A receiver that hangs holds each slot for a whole timeout, so what it may hold is bounded:

- a lane whose last attempt was answered promptly with a 2xx is quick;
- any other lane (new, slow, failing) may hold one slot, and all of these together half of them. However many receivers
  are dead, quick ones always find the other half;
- all lanes to a receiver together may hold a quarter.

Nor can they take the room of the others: when it is full, who has fewer waiting than the longest line gets that one's
last place.

Pure bookkeeping in memory: no I/O, no clock. Lanes take turns, and within a lane the order is that of arrival.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from engine.domain.ids import AccountId

# What is beyond stays in the database and is found again when its hold is over, see worker.py.
MAX_IN_LANE = 10_000
MAX_IN_ALL = 50_000
MAX_KNOWN_QUICK = 10_000

ReceiverKey = tuple[str, int | None]
Key = tuple[str, ReceiverKey]
"""Of a lane: the account and the receiver."""


@dataclass(frozen=True, slots=True)
class QueuedCallback:
    """A callback that waits for its turn. `attempts`: how many it has had."""

    event_id: str
    receiver: ReceiverKey
    attempts: int
    account_id: AccountId

    @property
    def key(self) -> Key:
        return self.account_id, self.receiver


@dataclass(slots=True)
class _Lane:
    line: dict[str, QueuedCallback] = field(default_factory=dict)  # by event id, in the order of arrival
    under_way: int = 0


def receiver_of(url: str) -> ReceiverKey:
    """Host and port, or an empty host for what is no URL."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return "", None
    return split.hostname or "", port or (443 if split.scheme == "https" else 80)


class _Lengths:
    """Which line is the longest, kept in constant time: lines grow and shrink by one."""

    def __init__(self) -> None:
        self.longest = 0
        self._of: dict[int, dict[Key, None]] = {}  # those of each length

    def change(self, key: Key, before: int, after: int) -> None:
        if before:
            del self._of[before][key]
            if not self._of[before]:
                del self._of[before]
        if after:
            self._of.setdefault(after, {})[key] = None
        if after > self.longest or (before == self.longest and before not in self._of):
            self.longest = after

    def a_longest(self) -> Key:
        return next(iter(self._of[self.longest]))


class FairQueue:
    def __init__(self, slots: int) -> None:
        self._free = slots
        self._most_of_receiver = max(1, slots // 4)
        self._most_unproven = max(1, slots // 2)
        self._waiting = 0
        self._under_way: Counter[ReceiverKey] = Counter()
        self._lengths = _Lengths()
        self._lanes: dict[Key, _Lane] = {}  # only those with something in line or under way
        self._quick: dict[Key, None] = {}  # an ordered set: known to be quick, longest known first

    def add(self, waiting: QueuedCallback) -> None:
        """Line it up. What is in the line already keeps its place; what finds no room is forgotten."""
        lane = self._lanes.setdefault(waiting.key, _Lane())
        if waiting.event_id in lane.line:
            lane.line[waiting.event_id] = waiting
        elif len(lane.line) < MAX_IN_LANE and self._has_room(len(lane.line)):
            lane.line[waiting.event_id] = waiting
            self._changed(waiting.key, lane, 1)
        self._drop_if_idle(waiting.key, lane)

    def choose(self) -> list[QueuedCallback]:
        """Those whose turn it is. Each takes a slot, which `leave` gives back."""
        chosen: list[QueuedCallback] = []
        while self._free and (turn := list(self._one_of_each())):
            chosen += turn
        return chosen

    def leave(self, waiting: QueuedCallback, *, quick: bool | None = None) -> None:
        """Give the slot back. `quick`: how the attempt went; None: there was none."""
        key = waiting.key
        lane = self._lanes[key]
        lane.under_way -= 1
        self._under_way[waiting.receiver] -= 1
        if not self._under_way[waiting.receiver]:
            del self._under_way[waiting.receiver]
        self._free += 1
        if quick is not None:
            self._quick.pop(key, None)
        if quick:
            self._quick[key] = None
            if len(self._quick) > MAX_KNOWN_QUICK:
                del self._quick[next(iter(self._quick))]
        self._drop_if_idle(key, lane)

    def _one_of_each(self) -> Iterator[QueuedCallback]:
        unproven = sum(lane.under_way for key, lane in self._lanes.items() if key not in self._quick)
        for key, lane in list(self._lanes.items()):
            may_more = key in self._quick or (lane.under_way == 0 and unproven < self._most_unproven)
            is_full = self._under_way[key[1]] >= self._most_of_receiver
            if not (self._free and lane.line and may_more) or is_full:
                continue
            unproven += key not in self._quick
            self._lanes[key] = self._lanes.pop(key)  # to the end: the next turn begins with another
            yield self._take_first(key, lane)

    def _take_first(self, key: Key, lane: _Lane) -> QueuedCallback:
        first = lane.line.pop(next(iter(lane.line)))
        self._changed(key, lane, -1)
        lane.under_way += 1
        self._under_way[first.receiver] += 1
        self._free -= 1
        return first

    def _has_room(self, length: int) -> bool:
        """For one more in a line of that length; made, if need be, at the end of one that stays longer."""
        if self._waiting < MAX_IN_ALL:
            return True
        if self._lengths.longest <= length + 1:
            return False
        key = self._lengths.a_longest()
        longest = self._lanes[key]
        longest.line.popitem()
        self._changed(key, longest, -1)
        return True

    def _changed(self, key: Key, lane: _Lane, by: int) -> None:
        """The line has grown or shrunk by one."""
        self._waiting += by
        self._lengths.change(key, len(lane.line) - by, len(lane.line))

    def _drop_if_idle(self, key: Key, lane: _Lane) -> None:
        if not lane.line and not lane.under_way:
            del self._lanes[key]
