"""Plays one round of calls with SIPp, and measures SIPp's times and the CPU of Asterisk and the engine."""

import csv
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.asterisk.full_system import PLAIN, Place, children_on
from bench.native import built
from bench.servers import GENERATOR_CORE
from phones.sipp import Sipp
from tests.e2e.environment import environ

HERE = Path(__file__).resolve().parent
RING_MS, TALK_MS = 50, 1_000
FOR_EVER = 10_000_000
DAY_SECONDS = 86_400
# SIPp's limit of calls at once (-l).
MOST_AT_ONCE = 8_000
ROUND_SECONDS = 600
# A call that makes no progress is given up after this time, which is longer than any of SIP's own timers.
PATIENCE_SECONDS = 40
# Each call has its own caller, because calls of one caller are limited.
CALLERS = 10_000_000
LINES = 20_000
# The stopwatches of caller.xml.
RINGING, REFUSED, ANSWERED, CLEARED = "1", "2", "3", "4"


@dataclass(frozen=True)
class Round:
    """Figures of one round. CPU in seconds.

    Attributes:
        failed: Calls that went in any way that a caller cannot expect. A 503 is no failure.
        times: Milliseconds by stopwatch, one for each call that got so far.
    """

    calls: int
    failed: int
    asterisk_cpu: float
    engine_cpu: float
    times: dict[str, list[float]]

    @property
    def refused(self) -> int:
        return len(self.times[REFUSED])

    @property
    def cleared(self) -> int:
        """The number of calls that were put through, talked, and got an answer to their BYE."""
        return len(self.times[CLEARED])


class Telephones:
    """The callers and the hidden number, on the core that the servers do not use."""

    def __init__(self, system: Place, directory: Path) -> None:
        self._system = system
        self._directory = directory
        self._clock = built("fine_clock", directory)
        self._rounds = 0

    @contextmanager
    def answering(self) -> Iterator[None]:
        """The hidden number answers."""
        callee = Sipp(
            "uas_answer",
            port=self._system.trunk_port,
            calls=FOR_EVER,
            keys={"ring": RING_MS},
            timeout=DAY_SECONDS,
            trace=False,
            lenient=True,
        )
        with self._placed(callee):
            yield

    def play(self, calls: int, rate: float, *, plain: bool) -> Round:
        """Makes calls; `rate` of them begin in each second, whatever happened to earlier ones."""
        self._rounds += 1
        directory = self._directory / f"round-{self._rounds}"
        directory.mkdir()
        callers = Sipp(
            HERE / "caller.xml",
            target=self._system.sip,
            calls=calls,
            rate=rate,
            concurrent=MOST_AT_ONCE,
            lines=self._lines(directory, plain=plain),
            keys={"talk": TALK_MS},
            timeout=ROUND_SECONDS,
            patience=PATIENCE_SECONDS,
            trace=False,
            stopwatches=True,
            directory=directory,
        )
        asterisk, engine = self._system.cpu()
        with self._placed(callers):
            result = callers.wait()
        asterisk_after, engine_after = self._system.cpu()
        if result.succeeded + result.failed < calls:
            raise RuntimeError(f"SIPp did not make its calls: {result.errors[-2000:]}")
        return Round(calls, result.failed, asterisk_after - asterisk, engine_after - engine, _times(directory))

    @contextmanager
    def _placed(self, sipp: Sipp) -> Iterator[None]:
        with children_on(GENERATOR_CORE), environ({"LD_PRELOAD": str(self._clock)}):
            sipp.__enter__()
        try:
            yield
        finally:
            sipp.close()

    def _lines(self, directory: Path, *, plain: bool) -> Path:
        services = [PLAIN] if plain else self._system.services
        first = random.randrange(CALLERS)
        lines = (f"{services[each % len(services)]};+1415{(first + each) % CALLERS:07}" for each in range(LINES))
        path = directory / "numbers"
        path.write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")
        return path


def _times(directory: Path) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {watch: [] for watch in (RINGING, REFUSED, ANSWERED, CLEARED)}
    for path in directory.glob("*_rtt.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file, delimiter=";"):
                times[row["rtd_no"]].append(float(row["response_time_ms"]))
    return times
