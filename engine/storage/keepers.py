"""The table of keepers: which of several engines on one database keeps which Asterisk.

A keeper's row has a counter, its beat, that it raises every few seconds. An engine that sees the same beat for long
enough, by its own clock, may take the Asterisk over. No two machines' clocks are compared.
"""

from dataclasses import dataclass

from engine.domain.times import EpochMs
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
    """A row: who keeps an Asterisk. `engine` is empty if no engine does, `mark` if it is not known."""

    asterisk: str
    engine: str
    beat: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """What a keeper writes with its beat, for people and for other engines.

    Attributes:
        at: When.
        host: The name of its machine.
        mark: The mark of the process of Asterisk that it keeps; empty if it is not known.
    """

    at: EpochMs
    host: str
    mark: str


@dataclass(frozen=True, slots=True)
class KeptAsterisk:
    """An Asterisk that an engine keeps or has kept, or that has calls.

    Attributes:
        asterisk: Its name.
        engine: Its keeper; None if there never was one, empty if the last one has left it.
        host: The machine of its last keeper; None or empty if it is not known.
        beaten_at: When that has beaten last; None or 0 if it is not known.
        calls: Its calls that are up.
        seconds: The seconds that they have leased.
    """

    asterisk: str
    engine: str | None
    host: str | None
    beaten_at: EpochMs | None
    calls: int
    seconds: int

    def is_silent(self, since: EpochMs) -> bool:
        """Returns whether its keeper has not beaten since an instant, or there is none."""
        return self.engine is None or 0 < (self.beaten_at or 0) < since


class Keepers(Table):
    """Who keeps each Asterisk."""

    def all(self) -> list[Kept]:
        """Returns all rows."""
        return [Kept(*row) for row in self._sql.keepers(self._db)]

    def of(self, asterisk: str) -> Kept | None:
        """Returns the row of an Asterisk."""
        row = self._sql.keeper_of(self._db, asterisk=asterisk)
        return None if row is None else Kept(*row)

    def asterisks(self) -> list[KeptAsterisk]:
        """Returns all Asterisks with their calls."""
        return [KeptAsterisk(*row) for row in self._sql.asterisks(self._db)]

    def calls_since_beat(self, asterisk: str, margin_ms: int) -> int:
        """Counts the calls up that came in later than so long after the Asterisk's keeper was last heard of."""
        return int(self._sql.calls_since_beat(self._db, asterisk=asterisk, margin=margin_ms))

    def forget(self, asterisk: str, read: Kept | None) -> None:
        """Deletes the row of an Asterisk unless it has changed since it was read, and its errands."""
        if read is not None:
            self._sql.forget_asterisk(self._db, asterisk=asterisk, engine=read.engine, beat=read.beat)
        self._sql.forget_errands(self._db, asterisk=asterisk)

    def take(self, keeper: Keeper, read: Kept | None, sign: SignOfLife) -> None:
        """Makes an engine the keeper, unless the row has changed since it was read. None: there was none."""
        self._sql.take_asterisk(
            self._db,
            asterisk=keeper.asterisk,
            engine=keeper.engine,
            read_engine="" if read is None else read.engine,
            read_beat=-1 if read is None else read.beat,
            beaten_at=sign.at,
            host=sign.host,
            mark=sign.mark,
        )

    def beat(self, keeper: Keeper, sign: SignOfLife) -> None:
        """Raises the beat, if the engine is the keeper."""
        self._sql.keepers_beat(
            self._db,
            asterisk=keeper.asterisk,
            engine=keeper.engine,
            beaten_at=sign.at,
            host=sign.host,
            mark=sign.mark,
        )

    def leave(self, keeper: Keeper) -> None:
        """Makes the Asterisk free, if the engine is its keeper."""
        self._sql.leave_asterisk(self._db, asterisk=keeper.asterisk, engine=keeper.engine)

    def holds(self, keeper: Keeper) -> bool:
        """Returns whether the engine is the keeper. If so, it is until the transaction ends."""
        if keeper == SOLE_KEEPER:
            return True
        return bool(self._sql.lock_keeper(self._db, asterisk=keeper.asterisk, engine=keeper.engine))
