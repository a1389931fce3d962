"""The slots of the fair queue: pools in which accounts, and within them receivers, take turns."""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from engine.callbacks.receiver import Receiver
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs

K = TypeVar("K", bound=Hashable)


class Standing(Enum):
    """What a queue may use. Each standing has slots of its own.

    Attributes:
        QUICK: The last attempt brought a prompt 2xx.
        SLOW: The receiver has agreed to get callbacks, but the last attempt was slow, failed, or there was none.
        STRANGER: The receiver has never answered with 2xx.
    """

    QUICK = 0
    SLOW = 1
    STRANGER = 2


class QueueKey(NamedTuple):
    """What identifies a queue. `at_will`: its callbacks were caused at will, so others must not wait behind them."""

    account_id: AccountId
    receiver: Receiver
    at_will: bool


@dataclass(frozen=True, slots=True)
class QueuedCallback:
    """A callback that waits for its turn.

    Attributes:
        event_id: The callback's id.
        receiver: Where it goes.
        attempts: How many attempts it has had.
        account_id: The account that gets it.
        at_will: Whether its customer can cause it at will: it is sent again on request, or belongs to a sandbox.
        is_sandbox: Whether the account is a sandbox.
    """

    event_id: str
    receiver: Receiver
    attempts: int
    account_id: AccountId
    at_will: bool = False
    is_sandbox: bool = False

    @property
    def key(self) -> QueueKey:
        """The queue that the callback belongs to."""
        return QueueKey(self.account_id, self.receiver, self.at_will)


@dataclass(slots=True, eq=False)
class Queue:
    """The callbacks of one account to one receiver.

    Attributes:
        key: What identifies it.
        is_sandbox: Whether its account is a sandbox.
        waiting: Its callbacks by event id, in the order of arrival.
        under_way: Its attempts that run.
        parked_until: When its receiver's pace allows the next attempt; None: it need not wait.
        pool: The pool in which it takes turns; None: nothing of it can begin now.
    """

    key: QueueKey
    is_sandbox: bool
    waiting: OrderedDict[str, QueuedCallback] = field(default_factory=OrderedDict)
    under_way: int = 0
    parked_until: EpochMs | None = None
    pool: "Pool | None" = None


class Pool:
    """Slots that accounts share: each account in turn, and each of its queues in turn."""

    def __init__(self, standing: Standing, slots: int) -> None:
        self.standing = standing
        self.free = slots
        self._under_way: Counter[AccountId] = Counter()
        self._ready: OrderedDict[AccountId, OrderedDict[QueueKey, Queue]] = OrderedDict()

    def add(self, queue: Queue) -> None:
        """Adds a queue as its account's last."""
        self._ready.setdefault(queue.key.account_id, OrderedDict())[queue.key] = queue

    def remove(self, queue: Queue) -> None:
        """Removes a queue."""
        ready = self._ready[queue.key.account_id]
        del ready[queue.key]
        if not ready:
            del self._ready[queue.key.account_id]

    def accounts(self) -> list[AccountId]:
        """Returns the accounts with a queue here, in the order of their turns."""
        return list(self._ready)

    def ready(self, account_id: AccountId) -> Iterator[Queue]:
        """Iterates over an account's queues, in the order of their turns. No queue may be moved meanwhile."""
        return iter(self._ready.get(account_id, OrderedDict()).values())

    def may_begin(self, account_id: AccountId) -> bool:
        """Returns whether the account may take another slot: only as long as it leaves more free than it has.

        So a single account gets half of the slots, two get a third each, and one that has none finds one.
        """
        return self._under_way[account_id] < self.free

    def begin(self, account_id: AccountId) -> None:
        """Takes a slot, and makes the account the last in turn."""
        self.free -= 1
        self._under_way[account_id] += 1
        if account_id in self._ready:
            self._ready.move_to_end(account_id)

    def end(self, account_id: AccountId) -> None:
        """Frees a slot."""
        self.free += 1
        self._under_way[account_id] -= 1
        if not self._under_way[account_id]:
            del self._under_way[account_id]


class Lengths(Generic[K]):
    """Finds the longest of many queues in constant time, which works because queues grow and shrink by one."""

    def __init__(self) -> None:
        self.longest = 0
        self._keys: dict[int, dict[K, None]] = {}  # the queues of each length

    def change(self, key: K, before: int, after: int) -> None:
        """Notes that a queue has grown or shrunk by one."""
        if before:
            del self._keys[before][key]
            if not self._keys[before]:
                del self._keys[before]
        if after:
            self._keys.setdefault(after, {})[key] = None
        if after > self.longest or (before == self.longest and before not in self._keys):
            self.longest = after

    def a_longest(self) -> K:
        """Returns one of the longest queues; there must be one that is not empty."""
        return next(iter(self._keys[self.longest]))
