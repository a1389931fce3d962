"""Compares servers: shuffled rounds of the same load, and the medians of the rounds."""

import random
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import servers, workload
from bench.contender import Contender, Run
from bench.generator import ManagerSide, Round, generator
from bench.native import built
from bench.servers import SERVER_CORE, Server
from bench.system import BenchSystem, create_system
from bench.workload import Shape
from engine.calls.end_spool import CURRENT
from engine.runtime.diagnostics import Lateness
from phones.ports import free_port

ENGINE, OBVIOUS, LIMIT, LIMIT_3 = "engine", "obvious design", "limit", "limit (three requests)"
SHAPES = {
    ENGINE: Shape.ASKS_ONCE,
    OBVIOUS: Shape.THREE_REQUESTS,
    LIMIT: Shape.ASKS_ONCE,
    LIMIT_3: Shape.THREE_REQUESTS,
}
BOOKINGS = 5_000
WARM_UP = Round(200, slots=8)
WATCHED_ROUNDS = 3


@dataclass(frozen=True)
class Terms:
    """How much load each server gets.

    Attributes:
        rounds: Rounds for each server.
        round: What is played in each.
        share: The part of its calls that a slower server gets, by its name.
    """

    rounds: int
    round: Round
    share: Mapping[str, float]

    @property
    def most_calls(self) -> int:
        """The calls that a server needs in its workload."""
        return WARM_UP.calls + (self.rounds + WATCHED_ROUNDS) * self.round.calls

    def round_of(self, name: str) -> Round:
        return replace(self.round, calls=max(20, int(self.round.calls * self.share.get(name, 1.0))))


@contextmanager
def contenders(
    directory: Path, calls: int, preload: Mapping[str, str], **more: object
) -> Iterator[dict[str, Contender]]:
    """Starts the servers, each with its own load generator.

    Args:
        directory: Where their files are written.
        calls: The length of each server's workload.
        preload: Environment variables of the servers.
        more: Further settings.
    """
    with ExitStack() as running, silent_receiver() as callback:
        found = {}
        for name, shape in SHAPES.items():
            place = directory / re.sub("[^a-z0-9]+", "-", name)
            ports = {"ami_port": free_port(), **more}
            system = create_system(place, (free_port(), free_port()), callback, bookings=BOOKINGS, more=ports)
            found[name] = enter(running, directory, name, system, calls, shape, preload)
        yield found


def enter(
    running: ExitStack,
    directory: Path,
    name: str,
    system: BenchSystem,
    calls: int,
    shape: Shape = Shape.ASKS_ONCE,
    preload: Mapping[str, str] | None = None,
    asterisk: int = 0,
    cores: Sequence[int] = (SERVER_CORE,),
) -> Contender:
    """Starts a server and its load generator, which end with `running`. An engine runs on `cores`."""
    settings = system.settings
    calls_file = system.settings.data_dir.with_suffix(".calls")
    workload.write(calls_file, shape, system.services, system.bookings, calls, system.token, asterisk)
    manager = None
    if shape is Shape.ASKS_ONCE:
        manager = ManagerSide(settings.ami_port, system.token, settings.journal / CURRENT)
    # The generator comes first: a server connects to the manager interface when it starts.
    plays = running.enter_context(generator(built("generator", directory), calls_file, settings.fastagi_port, manager))
    server = _server(running, directory, name, system, shape, preload or {}, cores)
    return Contender(replace(server, name=name), plays, shape)


def _server(
    running: ExitStack,
    directory: Path,
    name: str,
    system: BenchSystem,
    shape: Shape,
    preload: Mapping[str, str],
    cores: Sequence[int],
) -> Server:
    settings = system.settings
    log, port = settings.data_dir.with_suffix(".log"), settings.fastagi_port
    if name == OBVIOUS:
        return running.enter_context(servers.obvious(settings.database, port, log, preload))
    if name not in {LIMIT, LIMIT_3}:
        return running.enter_context(servers.engine(system, log, preload, cores))
    services = directory / "services"
    services.write_text("".join(f"{service}\n" for service in system.services))
    ami_port = settings.ami_port if shape is Shape.ASKS_ONCE else None
    journal = settings.data_dir.with_suffix(".journal")
    return running.enter_context(
        servers.limit(built("limit", directory), services, journal, port, ami_port, log, preload)
    )


@contextmanager
def silent_receiver() -> Iterator[str]:
    """A callback receiver that never answers. Callbacks stay in the outbox, so that sending them is not measured.

    The cost of sending depends on the receiver as well.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/calls"


def compare(
    contestants: Mapping[str, Contender], terms: Terms, show_progress: Callable[[str], None]
) -> dict[str, list[Run]]:
    """Plays all rounds, in each round the servers in random order."""
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for contender in contestants.values():
        contender.play(WARM_UP)
    for round_ in range(terms.rounds):
        for name in random.sample(list(contestants), len(contestants)):
            runs[name].append(contestants[name].play(terms.round_of(name)))
        show_progress(
            f"round {round_ + 1} of {terms.rounds}: "
            + ", ".join(f"{name} {each[-1].rate:.0f}/s {each[-1].cpu_a_call:.0f} µs" for name, each in runs.items())
        )
    return runs


def lateness(contender: Contender, round_: Round) -> tuple[int, int, int]:
    """How late an engine's event loop is in the worst of some more rounds.

    Returns:
        Milliseconds: the 99th percentile, the longest delay, and the longest that the engine itself can have caused.
    """
    rounds: list[Lateness] = []
    for _ in range(WATCHED_ROUNDS):
        late = contender.play(round_, watched=True).late
        assert late is not None
        rounds.append(late)
    return max(e.p99_ms for e in rounds), max(e.longest_ms for e in rounds), max(e.own_ms for e in rounds)


@dataclass(frozen=True)
class Line:
    """Medians of the rounds. Times are microseconds, except `settling`, which is milliseconds.

    Attributes:
        memory: Bytes.
    """

    name: str
    shape: Shape
    rate: float
    cpu: float
    settling: float
    busy: float
    p50: float
    p99: float
    p999: float
    memory: float
    failed: int
    unheard: int

    @classmethod
    def of(cls, runs: list[Run]) -> "Line":
        route = [run.latency["route"] for run in runs]
        return cls(
            name=runs[0].server,
            shape=runs[0].shape,
            rate=median(run.rate for run in runs),
            cpu=median(run.cpu_a_call for run in runs),
            settling=median(run.settling for run in runs) * 1000,
            busy=median(run.busy for run in runs),
            p50=median(each["p50"] for each in route),
            p99=median(each["p99"] for each in route),
            p999=median(each["p999"] for each in route),
            memory=median(run.memory for run in runs),
            failed=sum(run.failed for run in runs),
            unheard=sum(run.unheard for run in runs),
        )
