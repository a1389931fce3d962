"""Which of several engines keeps this engine's Asterisk: takes its reports, moves its limits, compares its calls.

All engines decide on calls. But two that moved the limits of the same calls would undo each other's work, and a limit
in Asterisk would be above the lease in the database. So each Asterisk has one keeper.

- A keeper raises a counter in its row of the table `keepers`, the beat. Other engines of the same Asterisk watch it.
  Who sees the same beat for TAKE_OVER_SECONDS, by its own clock, becomes the keeper, if the row is still the same then.
- A keeper that could not raise its beat for CERTAIN_SECONDS moves no limits, as another one may do so by now. What it
  had begun before is stopped by the database: `apply_shares` writes nothing for an engine that is not the keeper.
- A copied token gives two Asterisks one name, and their engines would settle each other's calls. So a keeper writes
  the mark of its Asterisk into its row (asterisk_mark.py). An engine whose Asterisk lacks that mark, while the keeper
  beats, is a stranger: it decides on no call, and never becomes the keeper. An engine that has not compared the marks
  yet decides on no call either, unless the keeper is silent.
- An engine that ends in an orderly way leaves its row free. One that is started again takes the row of its former
  process at once: the lock on the data directory shows that this one is gone.
"""

import asyncio
import hashlib
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from engine.asterisk.asterisk_mark import AsteriskMark
from engine.asterisk.errors import AmiError
from engine.runtime.clock import Clock
from engine.runtime.ids import new_id
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.keepers import SOLE_KEEPER, Keeper, Kept, SignOfLife
from engine.storage.transaction import Transaction

log = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
RETRY_SECONDS = 0.2
# Longer than a command may take on a server that hangs, plus a beat.
CERTAIN_SECONDS = 5.0
TAKE_OVER_SECONDS = 8.0
# A keeper that has not beaten for so long is silent: its engine stopped, or its machine did.
SILENT_SECONDS = 3.0
# The marks of two Asterisks must differ in so many beats: a keeper notices a new process within one.
STRANGE_BEATS = 4
COPIED = "delete secrets/agi_token, and let `rented-numbers setup` make another; then write Asterisk's files again"
# Calls of an Asterisk whose keeper has been silent for so long are settled by time alone, by all keepers.
LOST_SECONDS = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Keepership:
    """Whether this engine keeps its Asterisk. In this class it does, always: it works alone on its database."""

    @property
    def keeper(self) -> Keeper:
        """This engine and its Asterisk."""
        return SOLE_KEEPER

    @property
    def is_ours(self) -> bool:
        """Whether this engine was the keeper when it last asked."""
        return True

    @property
    def is_certain(self) -> bool:
        """Whether no other engine can be the keeper at this moment."""
        return True

    @property
    def is_stranger(self) -> bool:
        """Whether another Asterisk, which has a keeper, has the token of ours."""
        return False

    @property
    def may_decide(self) -> bool:
        """Whether this engine may decide on new calls."""
        return True

    async def lost_asterisks(self) -> list[str]:
        """Returns the names of Asterisks that have calls but no living keeper. Raises StorageError."""
        return []

    async def leave(self) -> None:
        """Leaves the Asterisk to others, at the end."""


@dataclass(slots=True)
class _Seen:
    """A row as it was seen: since when it has been the same, by our boot clock in seconds."""

    row: Kept
    since: float


class SharedKeepership(Keepership):
    """Becomes and stays the keeper while `run` runs.

    Args:
        storage: The database.
        keeper: This engine and its Asterisk.
        clock: Tells people when the engine has beaten. Nothing is decided by it.
        mark: The mark of the Asterisk that this engine has.
    """

    def __init__(self, storage: Storage, keeper: Keeper, clock: Clock, mark: AsteriskMark) -> None:
        self._storage = storage
        self._keeper = keeper
        self._clock = clock
        self._mark = mark
        self._lost: set[str] = set()
        # Whether the keeper has our Asterisk, as far as marks were compared.
        self._is_same = self._is_stranger = False
        # The keeper's beat that was compared last, and how many in a row had another mark.
        self._compared: Kept | None = None
        self._differing = 0
        self._seen: dict[str, _Seen] = {}
        # Since when all rows are watched without a failure of the database; None if they are not.
        self._watching_since: float | None = None
        self._is_ours = False
        self._certain_until = 0.0

    @property
    def keeper(self) -> Keeper:
        """This engine and its Asterisk."""
        return self._keeper

    @property
    def is_ours(self) -> bool:
        """Whether this engine was the keeper when it last asked."""
        return self._is_ours

    @property
    def is_certain(self) -> bool:
        """Whether no other engine can be the keeper at this moment."""
        return self._is_ours and boot_seconds() < self._certain_until

    @property
    def is_stranger(self) -> bool:
        """Whether another Asterisk, which has a keeper, has the token of ours."""
        return self._is_stranger

    @property
    def may_decide(self) -> bool:
        """Whether this engine may decide on new calls."""
        if self._is_stranger:
            return False
        return self._is_ours or self._is_same or self._silent(SILENT_SECONDS) is not None

    async def lost_asterisks(self) -> list[str]:
        """Returns the names of Asterisks that have calls but no living keeper. Raises StorageError."""
        now = boot_seconds()
        if self._watching_since is None or now - self._watching_since < LOST_SECONDS:
            return []  # a keeper that lives may not have been seen yet
        living = {name for name, seen in self._seen.items() if now - seen.since < LOST_SECONDS}
        lost = await self._storage.run(_asterisks_with_calls) - living - {self._keeper.asterisk, ""}
        for name in sorted(lost - self._lost):
            log.warning("asterisk_silent", asterisk=name, fix=f"if it is off: rented-numbers asterisks forget {name}")
        for name in sorted(self._lost - lost):
            log.info("asterisk_not_silent", asterisk=name)
        self._lost = lost
        return sorted(lost)

    async def run(self, stop: asyncio.Event) -> None:
        """Beats, or watches the keeper's beat, until `stop` is set."""
        while not stop.is_set():
            try:
                await self.ask()
                # An engine that starts soon knows whether it may decide on calls; /ready waits for it.
                pause = BEAT_SECONDS if self.may_decide or self._is_stranger else RETRY_SECONDS
            except StorageError:
                # What was seen before says nothing now: the keeper may have had the same trouble.
                self._seen.clear()
                self._watching_since = None
                pause = RETRY_SECONDS
            await wait_for(stop, pause)

    async def ask(self) -> None:
        """Beats, or takes the Asterisk if it may be taken. Raises StorageError."""
        began, silent = boot_seconds(), self._silent(TAKE_OVER_SECONDS)
        sign = SignOfLife(self._clock.now(), socket.gethostname(), self._mark.value or "")
        rows = await self._storage.run(keep, self._keeper, sign, silent, may_take=not self._is_stranger)
        now = boot_seconds()
        if self._watching_since is None:
            self._watching_since = now
        for row in rows:
            if row.asterisk not in self._seen or self._seen[row.asterisk].row != row:
                self._seen[row.asterisk] = _Seen(row, now)
        was_ours = self._is_ours
        self._is_ours = any((row.asterisk, row.engine) == (self._keeper.asterisk, self._keeper.engine) for row in rows)
        if self._is_ours:
            self._certain_until = began + CERTAIN_SECONDS
        if self._is_ours != was_ours:
            log.warning("asterisk_taken" if self._is_ours else "asterisk_lost", asterisk=self._keeper.asterisk)
        self._compare()

    async def watch_mark(self, stop: asyncio.Event) -> None:
        """Refreshes the mark again and again, until `stop` is set."""
        while not stop.is_set():
            with suppress(AmiError):  # the link says it
                await self.refresh_mark()
            await wait_for(stop, BEAT_SECONDS if self._is_ours and self._mark.value else RETRY_SECONDS)

    async def refresh_mark(self) -> None:
        """Reads the mark of our Asterisk if it may have changed, and sets it as the keeper. Raises AmiError."""
        if self._is_ours:
            await self._mark.make()  # a reload of the dialplan may have cleared it (clearglobalvars)
        elif self._mark.value is None or not self._is_same or self._differing:
            await self._mark.read()

    async def leave(self) -> None:
        """Leaves the Asterisk to others, at the end."""
        self._is_ours = False
        try:
            await self._storage.run(_leave, self._keeper)
        except StorageError as error:
            log.warning("asterisk_not_left", reason=str(error))

    def _silent(self, seconds: float) -> Kept | None:
        """Returns the row of our Asterisk if its keeper has not beaten for so long."""
        seen = self._seen.get(self._keeper.asterisk)
        return seen.row if seen is not None and boot_seconds() - seen.since >= seconds else None

    def _compare(self) -> None:
        """Compares the mark of the keeper's last beat with that of our Asterisk."""
        seen, mark = self._seen.get(self._keeper.asterisk), self._mark.value
        if self._is_ours:
            self._is_same, self._differing = True, 0
        elif seen is None or mark is None or not seen.row.mark:
            self._differing = 0  # nothing to compare
        elif mark == seen.row.mark:
            self._is_same, self._is_stranger, self._differing = True, False, 0
        elif seen.row != self._compared:
            self._compared = seen.row
            self._differing += 1
        if self._differing >= STRANGE_BEATS and not self._is_stranger:
            self._is_same, self._is_stranger = False, True
            log.error("agi_token_of_another_asterisk", asterisk=self._keeper.asterisk, fix=COPIED)


def keep(
    tx: Transaction, keeper: Keeper, sign: SignOfLife, silent: Kept | None, *, may_take: bool = True
) -> list[Kept]:
    """Beats, or takes an Asterisk that nobody keeps any more.

    Args:
        tx: The transaction.
        keeper: The engine, and the Asterisk that it keeps or wants to keep.
        sign: What it writes with its beat.
        silent: The row of a keeper that has not beaten for too long: its Asterisk may be taken if the row is the same.
        may_take: Whether the engine may become the keeper.

    Returns:
        All rows after that.
    """
    own = next((row for row in tx.keepers.all() if row.asterisk == keeper.asterisk), None)
    if own is not None and own.engine == keeper.engine:
        tx.keepers.beat(keeper, sign)
    elif may_take and _is_free(own, keeper, silent):
        tx.keepers.take(keeper, own, sign)
        tx.calls.adopt(keeper.asterisk)
    return tx.keepers.all()


def _is_free(own: Kept | None, keeper: Keeper, silent: Kept | None) -> bool:
    """Returns whether an Asterisk's row may be taken: nobody keeps it, or its keeper is gone."""
    return own is None or not own.engine or own == silent or _home_of(own.engine) == _home_of(keeper.engine)


def engine_id(data_dir: Path) -> str:
    """Returns an id for this process. It begins with a part that is the same for all engines of a data directory."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii")
    except OSError:
        boot = new_id("boot")  # then a new start waits like any other engine
    home = f"{boot.strip()},{socket.gethostname()},{data_dir.resolve()}"
    return f"{hashlib.sha256(home.encode()).hexdigest()[:16]}/{new_id('eng')}"


def boot_seconds() -> float:
    """Returns the boot clock's time, which goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _home_of(engine: str) -> str:
    return engine.partition("/")[0]


def _leave(tx: Transaction, keeper: Keeper) -> None:
    tx.keepers.leave(keeper)


def _asterisks_with_calls(tx: Transaction) -> set[str]:
    return tx.errands.asterisks_with_calls()
