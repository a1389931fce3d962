"""Makes far more calls than the system carries, and counts what happens to admitted and refused calls."""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.asterisk.figures import percentile
from bench.asterisk.full_system import full_system
from bench.asterisk.traffic import ANSWERED, REFUSED, RINGING, Round, Telephones
from tests.chaos import books

SECONDS = 10
WARM_UP_RATE, WARM_UP = 10, 40
QUIET_SECONDS = 120.0


@dataclass(frozen=True)
class Overload:
    """One round of too many calls.

    Attributes:
        recorded: Answered calls that have a call record.
        broken: The rules of the ledger that are broken.
    """

    round: Round
    recorded: int
    broken: list[str]

    @property
    def answered(self) -> int:
        return len(self.round.times[ANSWERED])

    def cells(self) -> list[str]:
        times = self.round.times
        return [
            str(self.round.calls),
            str(self.round.refused),
            *(f"{percentile(times[REFUSED], each):.0f}" for each in (50, 99)),
            str(self.answered),
            *(f"{percentile(times[RINGING], each):.0f}" for each in (50, 99)),
            str(self.round.cleared),
            str(self.recorded),
            str(self.round.calls - self.round.refused - self.round.cleared),
            "adds up" if not self.broken else ", ".join(self.broken),
        ]


def overload(directory: Path, rate: int, **more: object) -> Overload:
    """Starts a system with the settings `more`, and makes `rate` calls a second."""
    directory.mkdir()
    with full_system(directory, **more) as place:
        telephones = Telephones(place.place, directory)
        with telephones.answering(), books.opened(place.system.settings.database) as database:
            telephones.play(WARM_UP, WARM_UP_RATE, plain=False)
            before = len(books.read(database).answered)
            round_ = telephones.play(rate * SECONDS, rate, plain=False)
            _wait_settled(database)
            after = books.read(database)
        return Overload(round_, len(after.answered) - before, [*after.broken, *place.ledger()])


def _wait_settled(database: books.Connection) -> None:
    """Waits until every lease is settled, but not for ever: a lease that remains shows in the result."""
    until = time.monotonic() + QUIET_SECONDS
    while books.leases_up(database) and time.monotonic() < until:
        time.sleep(0.2)
