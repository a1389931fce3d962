"""The table of keepers: which of several engines on one database keeps which Asterisk.

A keeper's row has a counter, its beat, that it raises every few seconds. An engine that sees the same beat for long
enough, by its own clock, may take the Asterisk over. No two machines' clocks are compared.
"""

from dataclasses import dataclass

from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class Keeper:
    """An engine that keeps an Asterisk, or wants to.

    Attributes:
        asterisk: The Asterisk's name.
        engine: The id of the engine's process. It begins with what stays the same when this engine is started again.
    """

    asterisk: str
    engine: str


# The engine that works alone on its database and keeps all calls.
SOLE_KEEPER = Keeper("", "")


@dataclass(frozen=True, slots=True)
class Kept:
    """A row: who keeps an Asterisk. `engine` is empty if nobody does."""

    asterisk: str
    engine: str
    beat: int


class Keepers(Table):
    """Who keeps each Asterisk."""

    def all(self) -> list[Kept]:
        """Returns all rows."""
        return [Kept(*row) for row in self._sql.keepers(self._db)]

    def take(self, keeper: Keeper, read: Kept | None) -> None:
        """Makes an engine the keeper, unless the row has changed since it was read. None: there was none."""
        self._sql.take_asterisk(
            self._db,
            asterisk=keeper.asterisk,
            engine=keeper.engine,
            read_engine="" if read is None else read.engine,
            read_beat=-1 if read is None else read.beat,
        )

    def beat(self, keeper: Keeper) -> None:
        """Raises the beat, if the engine is the keeper."""
        self._sql.keepers_beat(self._db, asterisk=keeper.asterisk, engine=keeper.engine)

    def leave(self, keeper: Keeper) -> None:
        """Makes the Asterisk free, if the engine is its keeper."""
        self._sql.leave_asterisk(self._db, asterisk=keeper.asterisk, engine=keeper.engine)

    def holds(self, keeper: Keeper) -> bool:
        """Returns whether the engine is the keeper. If so, it is until the transaction ends."""
        if keeper == SOLE_KEEPER:
            return True
        return bool(self._sql.lock_keeper(self._db, asterisk=keeper.asterisk, engine=keeper.engine))
