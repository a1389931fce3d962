"""The parameters of a soak test, and the kinds of its calls."""

from dataclasses import dataclass
from enum import StrEnum, auto


class Kind(StrEnum):
    """How a call goes."""

    ANSWERED = auto()
    BUSY = auto()
    NO_ANSWER = auto()
    CANCELLED = auto()
    # Its booking is deleted during the call.
    DELETED = auto()
    EXPIRED = auto()
    BLOCKED = auto()
    UNKNOWN = auto()

    @property
    def let_through(self) -> bool:
        return self not in REFUSED

    @property
    def recorded(self) -> bool:
        """Whether it has a call record: a number that is not booked belongs to no account."""
        return self is not Kind.UNKNOWN


REFUSED = frozenset({Kind.EXPIRED, Kind.BLOCKED, Kind.UNKNOWN})
# The kinds of twenty calls, repeated in this order.
KINDS = (
    *(Kind.ANSWERED, Kind.ANSWERED, Kind.BUSY, Kind.ANSWERED, Kind.EXPIRED),
    *(Kind.ANSWERED, Kind.NO_ANSWER, Kind.ANSWERED, Kind.ANSWERED, Kind.BLOCKED),
    *(Kind.ANSWERED, Kind.ANSWERED, Kind.BUSY, Kind.ANSWERED, Kind.UNKNOWN),
    *(Kind.ANSWERED, Kind.CANCELLED, Kind.ANSWERED, Kind.ANSWERED, Kind.DELETED),
)


@dataclass(frozen=True)
class Wanted:
    """The parameters of a soak test. Times are seconds.

    Attributes:
        rate: Calls that begin in a second.
        requests: Rounds of API requests that begin in a second.
        warm_up: Time under load before the first rest.
        watched: Time under load in which samples are taken.
        talk: The longest talk time.
        life: How long a booking, its grace, its number's quarantine and a finished callback each last.
        sweep: The interval of clean-ups.
    """

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
        """The time until as many rows are deleted as are added: a booking's time, its grace and the quarantine."""
        return self.talk + 3 * self.life + 2 * self.sweep
