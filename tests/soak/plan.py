"""What a soak does, and to what end its calls come."""

from dataclasses import dataclass
from enum import StrEnum, auto


class Kind(StrEnum):
    """A call's fate."""

    ANSWERED = auto()
    BUSY = auto()
    NO_ANSWER = auto()
    CANCELLED = auto()
    # Its booking is deleted while they talk.
    DELETED = auto()
    EXPIRED = auto()
    BLOCKED = auto()
    UNKNOWN = auto()

    @property
    def let_through(self) -> bool:
        return self not in REFUSED

    @property
    def recorded(self) -> bool:
        """Of a number that nobody has booked there is nobody to keep a record for."""
        return self is not Kind.UNKNOWN


REFUSED = frozenset({Kind.EXPIRED, Kind.BLOCKED, Kind.UNKNOWN})
# Of twenty calls, in this order again and again.
KINDS = (
    *(Kind.ANSWERED, Kind.ANSWERED, Kind.BUSY, Kind.ANSWERED, Kind.EXPIRED),
    *(Kind.ANSWERED, Kind.NO_ANSWER, Kind.ANSWERED, Kind.ANSWERED, Kind.BLOCKED),
    *(Kind.ANSWERED, Kind.ANSWERED, Kind.BUSY, Kind.ANSWERED, Kind.UNKNOWN),
    *(Kind.ANSWERED, Kind.CANCELLED, Kind.ANSWERED, Kind.ANSWERED, Kind.DELETED),
)


@dataclass(frozen=True)
class Wanted:
    """`rate` and `requests`: calls and rounds of API requests that begin a second. The rest in seconds: `warm_up` under
    the same load, then, after a rest, `settle` and `watched`. `talk`: the longest talk. `life`: of a booking's time, of
    its grace, of its number's quarantine and of a finished callback, each. `sweep`: between two clean-ups."""

    rate: float
    requests: float
    warm_up: float
    watched: float
    talk: float
    life: int
    sample_every: float
    sweep: int

    @property
    def settle(self) -> float:
        """From the first call on until as much goes as comes: a booking lives, expires, and its number rests."""
        return self.talk + 3 * self.life + 2 * self.sweep
