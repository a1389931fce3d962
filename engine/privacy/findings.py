"""What an erasure has searched, removed and left: the content of its receipt."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

# Places that are listed by name; of further ones there is only the number.
MAX_LISTED = 1_000


class Place(NamedTuple):
    """A place in the database: a column of a row. The row's id holds no number."""

    table: str
    column: str
    row: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of {self.row}"


class Receiver(NamedTuple):
    """A customer's system that was sent the number in callbacks."""

    account_id: str
    host: str


@dataclass(slots=True)
class Findings:
    """What was found. It never contains the number.

    Attributes:
        searched: Rows that were searched, by table.
        removed: Rows that were changed or deleted, by kind.
        remaining: Descriptions of what still contains the number because only its owner may change it.
        unsure: Places with similar digits, up to `MAX_LISTED` of them.
        unsure_count: How many there are.
        receivers: Where the number was sent, up to `MAX_LISTED`.
    """

    searched: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    remaining: list[str] = field(default_factory=list)
    unsure: list[Place] = field(default_factory=list)
    unsure_count: int = 0
    receivers: set[Receiver] = field(default_factory=set)

    def note_unsure(self, table: str, column: str, row: str) -> None:
        """Notes a place with similar digits."""
        self.unsure_count += 1
        if len(self.unsure) < MAX_LISTED:
            self.unsure.append(Place(table, column, row))

    def add(self, other: "Findings") -> None:
        """Adds what a further transaction has found."""
        self.searched += other.searched
        self.removed.update(other.removed)
        self.remaining += other.remaining[: MAX_LISTED - len(self.remaining)]
        self.unsure += other.unsure[: MAX_LISTED - len(self.unsure)]
        self.unsure_count += other.unsure_count
        self.receivers |= set(sorted(other.receivers)[: MAX_LISTED - len(self.receivers)])
