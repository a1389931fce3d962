"""A fair queue: divides the delivery slots among many accounts and receivers, so that none starves another.

There is one queue for each account and receiver. A receiver that hangs keeps each of its slots for a whole timeout, so
what it and its account can take is limited:

- By standing (see slots.py): quick receivers, slow or failing ones, and strangers have slots of their own. A queue
  whose receiver is not quick gets one.
- By account: an account takes another slot only while it has fewer than it leaves free, and accounts take turns. So a
  thousand receivers of one account that hang never take the last slot from another account.
- By receiver: all queues to one receiver together get a quarter of one standing's slots.
- Sandboxes have slots of their own, a quarter as many.
- By pace (see engine/domain/pacing.py): a stranger, and what a customer causes at will, is sent at a bounded rate.
  Queues that must wait for that are parked and take no turns.

The memory is limited too. When it is full, a callback replaces the last one of the longest queue of the account that
has the most, unless its own account has the most: then the longest of its own queues.

A queue is first in, first out. The module does no I/O and reads no clock. What it knows of a receiver it forgets with
the last queue to it; the database knows it too, and tells it again with the next callback.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, islice
from typing import NamedTuple

from engine.callbacks.receiver import NOTHING_KNOWN, KnownReceiver, Receiver
from engine.callbacks.slots import Lengths, Pool, Queue, QueuedCallback, QueueKey, Standing
from engine.domain.ids import AccountId
from engine.domain.pacing import DEFAULT_PACES, NOT_PACED, Pace, PaceRules
from engine.domain.times import EpochMs

# A callback that finds no room stays in the database and is found again when its hold is over, see worker.py.
MAX_IN_QUEUE = 10_000
MAX_IN_ALL = 50_000


class Turn(NamedTuple):
    """A callback that may begin. It occupies a slot until it is passed to `release`.

    Attributes:
        callback: The callback.
        paced_until: The receiver's new `paced_until`; None if it is not paced.
        pool: The slots of which it has one.
    """

    callback: QueuedCallback
    paced_until: EpochMs | None
    pool: Pool


@dataclass(slots=True)
class _Receiver:
    """What is known about a receiver while there are queues to it."""

    has_agreed: bool = False
    paced_until: EpochMs = NOT_PACED
    is_quick: dict[AccountId, bool] = field(default_factory=dict)
    queues: dict[QueueKey, Queue] = field(default_factory=dict)
    under_way: Counter[bool] = field(default_factory=Counter)  # attempts of sandboxes, and of all others


@dataclass(slots=True)
class _Account:
    """The callbacks of one account that wait."""

    waiting: int = 0
    lengths: Lengths[QueueKey] = field(default_factory=Lengths)


class FairQueue:
    """Waiting callbacks, and the slots that they share.

    Attributes:
        slots: How many attempts may run at the same time in all.
    """

    def __init__(self, slots: int, paces: PaceRules = DEFAULT_PACES) -> None:
        """Creates an empty queue.

        Args:
            slots: Attempts of each standing that may run at the same time.
            paces: How often callbacks may be sent to a receiver.
        """
        self._paces = paces
        self._slots = {False: slots, True: max(1, slots // 4)}
        self._pools = {
            (is_sandbox, standing): Pool(standing, self._slots[is_sandbox])
            for is_sandbox in self._slots
            for standing in Standing
        }
        self.slots = sum(pool.free for pool in self._pools.values())
        self._waiting = 0
        self._queues: dict[QueueKey, Queue] = {}  # only those with a callback that waits or is under way
        self._receivers: dict[Receiver, _Receiver] = {}  # only those with a queue
        self._accounts: dict[AccountId, _Account] = {}  # only those with a callback that waits
        self._totals: Lengths[AccountId] = Lengths()
        self._parked: list[tuple[EpochMs, int, Queue]] = []  # a heap; an entry is void unless its queue says the same
        self._order = count()
        # The `paced_until` of accounts' attempts to strangers, and when those that wait for it can begin.
        self._strangers_paced: dict[AccountId, EpochMs] = {}
        self._strangers_ready: dict[AccountId, EpochMs] = {}

    def add(self, callback: QueuedCallback, known: KnownReceiver = NOTHING_KNOWN) -> None:
        """Adds a callback to its queue.

        A callback that is already queued keeps its place. A callback that finds no room is dropped.

        Args:
            callback: The callback.
            known: What the database knows about its receiver.
        """
        self._receivers.setdefault(callback.receiver, _Receiver())
        self._learn(callback.key, known)
        queue = self._queues.get(callback.key) or self._open(callback)
        if callback.event_id in queue.waiting:
            queue.waiting[callback.event_id] = callback
        elif len(queue.waiting) < MAX_IN_QUEUE and self._make_room(queue):
            queue.waiting[callback.event_id] = callback
            self._length_changed(queue, 1)
        self._place(queue)

    def choose(self, now: EpochMs) -> list[Turn]:
        """Takes the callbacks whose turn it is."""
        self._unpark(now)
        self._strangers_ready.clear()
        return [turn for pool in self._pools.values() for turn in self._fill(pool, now)]

    def next_turn_at(self) -> EpochMs | None:
        """Returns when a callback that waits for its receiver's pace can begin; None if none waits for that."""
        return min([*self._strangers_ready.values(), *(until for until, *_ in self._parked[:1])], default=None)

    def release(self, turn: Turn, *, is_quick: bool | None = None, has_agreed: bool = False) -> None:
        """Frees a slot.

        Args:
            turn: What `choose` returned.
            is_quick: Whether the attempt brought a prompt 2xx; None if there was no attempt.
            has_agreed: Whether the attempt brought a 2xx.
        """
        key = turn.callback.key
        queue, receiver = self._queues[key], self._receivers[key.receiver]
        queue.under_way -= 1
        receiver.under_way[queue.is_sandbox] -= 1
        turn.pool.end(key.account_id)
        if is_quick is not None:
            receiver.is_quick[key.account_id] = is_quick
        self._learn(key, KnownReceiver(has_agreed=has_agreed))
        for other in [each for each in receiver.queues.values() if each.key.account_id == key.account_id]:
            self._place(other)

    def _open(self, callback: QueuedCallback) -> Queue:
        key = callback.key
        queue = self._queues[key] = Queue(key, callback.is_sandbox)
        self._receivers[key.receiver].queues[key] = queue
        return queue

    def _learn(self, key: QueueKey, known: KnownReceiver) -> None:
        receiver = self._receivers[key.receiver]
        receiver.paced_until = max(receiver.paced_until, known.paced_until)
        if known.is_quick is not None:
            receiver.is_quick.setdefault(key.account_id, known.is_quick)
        if known.has_agreed and not receiver.has_agreed:
            receiver.has_agreed = True
            for queue in list(receiver.queues.values()):
                queue.parked_until = None
                self._place(queue)

    def _place(self, queue: Queue) -> None:
        """Puts a queue into the pool in which it can take turns, if it can, and drops it when it is idle."""
        pool = self._pool_of(queue)
        if pool is not queue.pool:
            if queue.pool is not None:
                queue.pool.remove(queue)
            if pool is not None:
                pool.add(queue)
            queue.pool = pool
        if not queue.waiting and not queue.under_way:
            receiver = self._receivers[queue.key.receiver]
            del self._queues[queue.key]
            del receiver.queues[queue.key]
            if not receiver.queues:
                del self._receivers[queue.key.receiver]

    def _pool_of(self, queue: Queue) -> Pool | None:
        receiver = self._receivers[queue.key.receiver]
        if not receiver.has_agreed:
            standing = Standing.STRANGER
        elif receiver.is_quick.get(queue.key.account_id):
            standing = Standing.QUICK
        else:
            standing = Standing.SLOW
        if not queue.waiting or queue.parked_until is not None or (queue.under_way and standing is not Standing.QUICK):
            return None
        return self._pools[queue.is_sandbox, standing]

    def _fill(self, pool: Pool, now: EpochMs) -> list[Turn]:
        turns: list[Turn] = []
        while pool.free and (
            one_of_each := [turn for each in pool.accounts() if (turn := self._turn_of(pool, each, now))]
        ):
            turns += one_of_each
        return turns

    def _turn_of(self, pool: Pool, account_id: AccountId, now: EpochMs) -> Turn | None:
        if not pool.may_begin(account_id):
            return None
        if pool.standing is Standing.STRANGER:
            paced_until = self._strangers_paced.get(account_id, NOT_PACED)
            ready_at = self._paces.strangers_of_account.ready_at(paced_until, now)
            if ready_at > now:
                self._strangers_ready[account_id] = ready_at
                return None
        while queue := next((each for each in pool.ready(account_id) if self._receiver_has_a_slot(each)), None):
            ready_at = self._ready_at(queue, now)
            if ready_at <= now:
                return self._begin(pool, queue, now)
            queue.parked_until = ready_at
            heapq.heappush(self._parked, (ready_at, next(self._order), queue))
            self._place(queue)
        return None

    def _receiver_has_a_slot(self, queue: Queue) -> bool:
        under_way = self._receivers[queue.key.receiver].under_way[queue.is_sandbox]
        return under_way < max(1, self._slots[queue.is_sandbox] // 4)

    def _pace_of(self, queue: Queue) -> Pace | None:
        if not self._receivers[queue.key.receiver].has_agreed:
            return self._paces.stranger
        return self._paces.at_will if queue.key.at_will else None

    def _ready_at(self, queue: Queue, now: EpochMs) -> EpochMs:
        pace = self._pace_of(queue)
        return now if pace is None else pace.ready_at(self._receivers[queue.key.receiver].paced_until, now)

    def _begin(self, pool: Pool, queue: Queue, now: EpochMs) -> Turn:
        _, callback = queue.waiting.popitem(last=False)
        self._length_changed(queue, -1)
        queue.under_way += 1
        receiver, account_id = self._receivers[queue.key.receiver], queue.key.account_id
        receiver.under_way[queue.is_sandbox] += 1
        if pool.standing is Standing.STRANGER:
            self._pace_strangers(account_id, now)
        pace = self._pace_of(queue)
        if pace is not None:
            receiver.paced_until = pace.after(receiver.paced_until, now)
        pool.remove(queue)  # to the end, so that the account's next turn begins with another queue
        queue.pool = None
        self._place(queue)
        pool.begin(account_id)
        return Turn(callback, None if pace is None else receiver.paced_until, pool)

    def _pace_strangers(self, account_id: AccountId, now: EpochMs) -> None:
        """Notes an account's attempt to a stranger, and forgets up to two accounts that could use the whole burst."""
        paced_until = self._strangers_paced.pop(account_id, NOT_PACED)
        self._strangers_paced[account_id] = self._paces.strangers_of_account.after(paced_until, now)
        for other in list(islice(self._strangers_paced, 2)):
            if self._strangers_paced[other] <= now:
                del self._strangers_paced[other]

    def _unpark(self, now: EpochMs) -> None:
        while self._parked and self._parked[0][0] <= now:
            until, _, queue = heapq.heappop(self._parked)
            if self._queues.get(queue.key) is queue and queue.parked_until == until:
                queue.parked_until = None
                self._place(queue)

    def _make_room(self, queue: Queue) -> bool:
        """Makes room for one more callback of a queue. Returns False if that is not possible."""
        if self._waiting < MAX_IN_ALL:
            return True
        own = self._accounts.get(queue.key.account_id, _Account())
        if self._totals.longest > own.waiting + 1:
            self._drop_last(self._accounts[self._totals.a_longest()].lengths.a_longest())
            return True
        if own.lengths.longest > len(queue.waiting) + 1:
            self._drop_last(own.lengths.a_longest())
            return True
        return False

    def _drop_last(self, key: QueueKey) -> None:
        queue = self._queues[key]
        queue.waiting.popitem()
        self._length_changed(queue, -1)
        self._place(queue)

    def _length_changed(self, queue: Queue, by: int) -> None:
        self._waiting += by
        account_id = queue.key.account_id
        account = self._accounts.setdefault(account_id, _Account())
        account.lengths.change(queue.key, len(queue.waiting) - by, len(queue.waiting))
        self._totals.change(account_id, account.waiting, account.waiting + by)
        account.waiting += by
        if not account.waiting:
            del self._accounts[account_id]
