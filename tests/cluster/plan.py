"""What happens to the cluster in a run, determined by its seed."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

NODES = 2


class Kind(StrEnum):
    """What is done to which part."""

    ENGINE_KILLED = "engine killed"
    ENGINES_RESTARTED = "engines restarted, one after the other"
    ENGINE_HUNG = "engine suspended"
    ASTERISK_KILLED = "Asterisk killed"
    ASTERISK_STOPPED = "Asterisk stopped"
    ASTERISK_HUNG = "Asterisk suspended"
    NODE_CUT_OFF = "node cut off from PostgreSQL"
    PRIMARY_KILLED = "primary killed, standby promoted"
    PRIMARY_HUNG = "primary suspended"
    KAMAILIO_KILLED = "Kamailio killed"
    SWITCHED_OVER = "primary switched over by patronictl"
    PATRONI_KILLED = "Patroni of the primary killed"
    PRIMARY_LOST = "primary and its Patroni suspended"
    ETCD_KILLED = "etcd killed"
    STANDBY_KILLED = "standby killed"


WITH_PATRONI = (
    Kind.PRIMARY_KILLED,
    Kind.SWITCHED_OVER,
    Kind.PATRONI_KILLED,
    Kind.PRIMARY_LOST,
    Kind.ETCD_KILLED,
    Kind.STANDBY_KILLED,
)
ORDINARY = tuple(kind for kind in Kind if kind is Kind.PRIMARY_KILLED or kind not in WITH_PATRONI)


@dataclass(frozen=True)
class Wanted:
    """The parameters of one run.

    Attributes:
        rounds: How often each kind happens.
        rate: Calls a second.
        crowd: How many callers dial at once on credit for one call.
        moves: How often a call in one Asterisk takes seconds from a call in the other.
        kinds: What happens.
        patroni: Whether Patroni runs the database's servers.
    """

    seed: int
    rounds: int = 2
    rate: float = 5.0
    crowd: int = 50
    moves: int = 10
    quiet_seconds: float = 90.0
    kinds: tuple[Kind, ...] = ORDINARY
    patroni: bool = False


@dataclass(frozen=True)
class Step:
    """One trouble.

    Attributes:
        calm: Seconds before it.
        node: The node that it happens to, if it happens to one.
        seconds: How long the part is away.
    """

    kind: Kind
    calm: float
    node: int
    seconds: float


def steps(wanted: Wanted) -> list[Step]:
    """Each round has every kind once, in an order of its own, and the other node than the round before."""
    chance = Random(f"troubles {wanted.seed}")
    nodes = {kind: chance.randrange(NODES) for kind in wanted.kinds}
    found = []
    for number in range(wanted.rounds):
        kinds = list(wanted.kinds)
        chance.shuffle(kinds)
        found += [
            Step(kind, chance.uniform(2.0, 4.0), (nodes[kind] + number) % NODES, chance.uniform(4.0, 6.0))
            for kind in kinds
        ]
    return found
