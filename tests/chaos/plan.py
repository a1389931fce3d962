"""What happens in a run, determined by its seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

# The behaviour of every hundred calls.
BEHAVIOURS = {"caller ends": 35, "callee ends": 25, "limit ends": 10, "busy": 12, "cancel": 10, "no answer": 8}
# 999 is no country code, so no carrier could route such a number.
SOURCE_PREFIX = "+999"
SHORTEST_TALK_MS, LONGEST_TALK_MS = 50, 5000
SHORTEST_RING_MS, LONGEST_RING_MS = 50, 2000
# The share of the calls that go to scarce bookings.
SCARCE_SHARE = 0.4


@dataclass(frozen=True)
class Wanted:
    """The parameters of one run."""

    seed: int
    engine_kills: int
    asterisk_kills: int
    rate: float
    crowd: int = 50
    quiet_seconds: float = 60.0


class Kill(StrEnum):
    ENGINE = "engine"
    ASTERISK = "asterisk"
    BOTH = "both"


@dataclass(frozen=True)
class Step:
    """A kill.

    Attributes:
        wait: Seconds before it: since the engine was up, or since it was started.
        starting: Whether the engine may still be starting.
    """

    wait: float
    kill: Kill
    starting: bool


@dataclass(frozen=True)
class PlannedCall:
    """One line for the callers' telephone; scenarios/caller.xml explains its fields.

    `talk` is the intended talk time in ms; None for an unanswered call, infinity if neither side hangs up.
    """

    source: str
    service: str
    action: str
    milliseconds: int
    talk: float | None

    @property
    def line(self) -> str:
        return f"{self.source};{self.service};{self.action};{self.milliseconds}"


def steps(wanted: Wanted) -> list[Step]:
    """One kill in five hits an engine that is still starting. One Asterisk kill in four kills the engine as well."""
    chance = Random(f"kills {wanted.seed}")
    both = wanted.asterisk_kills // 4
    kills = [Kill.BOTH] * both + [Kill.ASTERISK] * (wanted.asterisk_kills - both)
    kills += [Kill.ENGINE] * (wanted.engine_kills - both)
    chance.shuffle(kills)
    return [_step(chance, kill) for kill in kills]


def _step(chance: Random, kill: Kill) -> Step:
    starting = chance.random() < 0.2
    return Step(chance.uniform(0.05, 1.0) if starting else chance.uniform(1.0, 4.0), kill, starting)


def calls(seed: int, ample: list[str], scarce: list[str]) -> Iterator[PlannedCall]:
    """Yields calls without end to the rented numbers `ample` and `scarce`."""
    chance = Random(f"calls {seed}")
    kinds, weights = list(BEHAVIOURS), list(BEHAVIOURS.values())
    serial = 0
    while True:
        service = chance.choice(scarce if chance.random() < SCARCE_SHARE else ample)
        [kind] = chance.choices(kinds, weights)
        talk = chance.randrange(SHORTEST_TALK_MS, LONGEST_TALK_MS, 10)
        ring = chance.randrange(SHORTEST_RING_MS, LONGEST_RING_MS)
        yield _call(kind, serial, service, talk, ring)
        serial += 1


def crowd(first_serial: int, size: int, service: str) -> list[PlannedCall]:
    """Callers who all dial one number at the same moment, and talk for a second."""
    return [PlannedCall(_source(0, 0, first_serial + index), service, "talk", 1000, 1000) for index in range(size)]


def _call(kind: str, serial: int, service: str, talk: int, ring: int) -> PlannedCall:
    if kind == "caller ends":
        return PlannedCall(_source(0, 0, serial), service, "talk", talk, talk)
    if kind == "callee ends":
        return PlannedCall(_source(1, talk, serial), service, "wait", 0, talk)
    if kind == "limit ends":
        return PlannedCall(_source(0, 0, serial), service, "wait", 0, math.inf)
    if kind == "busy":
        return PlannedCall(_source(2, 0, serial), service, "wait", 0, None)
    if kind == "cancel":
        return PlannedCall(_source(3, 0, serial), service, "cancel", ring, None)
    return PlannedCall(_source(3, 0, serial), service, "wait", 0, None)


def _source(callee: int, talk: int, serial: int) -> str:
    """A unique caller's number, which also tells the callee's telephone how to behave."""
    return f"{SOURCE_PREFIX}{callee}{talk // 10:03}{serial:06}"
