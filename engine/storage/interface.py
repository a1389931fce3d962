"""What the engine needs of a storage, whichever database is behind it.

Commands are plain functions over a `Transaction`. A storage may run a command again from the start before its commit,
so a command has no effect but the rows that it writes and the value that it returns.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from engine.domain.call_ends import EndedCall
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.tallies import StorageTallies
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Storage(Protocol):
    """Runs commands in transactions. A command is given to the storage at once, before its result is awaited."""

    def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Runs `command(tx, *args, **kwargs)` in a transaction and returns its result once it is on the disk.

        The command may raise as part of its work, for example because the customer has no such booking. That costs
        other commands nothing.

        A caller that is cancelled while its command runs does not know whether the command was kept. Commands of the
        call path can be repeated for that reason: they are keyed by the call's id.

        Raises:
            Exception: Whatever the command raises; nothing of the command was kept then.
            StorageBusy: Too many commands wait.
            StorageUnavailable: The database failed, or the storage is closed.
            StorageUnsure: The database did not say whether the command was kept. It must not simply run again.
        """

    def run_keyed(
        self, key: str, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Runs a command of the call path: the same as `run`, at less cost for a command that does not raise.

        One that does raise makes the commands that it shares a commit with run again. So nothing that a customer or a
        caller sends may make such a command raise.

        Args:
            key: The call, the booking or the callback. Commands with the same key run in the order in which they were
                given, also where the storage has several connections.
            command: The command.
            args: Its arguments.
            kwargs: Its arguments.
        """

    def when_posted(self, wake: Callable[[frozenset[AccountId]], object]) -> None:
        """Makes the storage call `wake`, on any thread, after each commit that put a callback into the outbox.

        It gives `wake` the accounts that have a callback to deliver now.
        """

    async def close(self) -> None:
        """Runs the waiting commands, then closes the database."""


class EngineStorage(Storage, Protocol):
    """What the composition root, the metrics and the probe need in addition.

    Attributes:
        tallies: What the storage counts.
    """

    tallies: StorageTallies

    @property
    def waiting(self) -> int:
        """How many commands wait."""

    @property
    def is_replaced(self) -> bool:
        """Whether the database's files were replaced or removed. Every command fails then."""

    @property
    def is_damaged(self) -> bool:
        """Whether a command has found the database damaged."""

    @property
    def last_commit(self) -> EpochMs | None:
        """When something was committed last; None: not yet."""

    def beat(self) -> Awaitable[None]:
        """Writes a mark, which shows that the database can be written."""

    def when_ended(self, count: Callable[[Sequence[EndedCall]], object]) -> None:
        """Makes the storage call `count`, on any thread, after each commit that wrote records of real calls."""
