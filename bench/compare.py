"""Compares servers: shuffled rounds of the same load, and the medians of the rounds."""

import random
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import servers, workload
from bench.load import Load, Run, play
from bench.native import built
from bench.servers import Server
from bench.system import BenchSystem, create_system
from engine.runtime.diagnostics import Lateness
from phones.ports import free_port

ENGINE, OBVIOUS, LIMIT = "engine", "obvious design", "limit"
BOOKINGS = 5_000
WARM_UP = 200


@dataclass(frozen=True)
class Terms:
    """How much load each server gets.

    Attributes:
        rounds: Rounds for each server.
        calls: Calls in a round.
        share: The part of these calls that a slower server gets, by its name.
    """

    rounds: int
    calls: int
    share: Mapping[str, float]

    def calls_of(self, name: str) -> int:
        return max(20, int(self.calls * self.share.get(name, 1.0)))


@dataclass
class Contender:
    """A server with its own database, and a workload. Each call of the workload is played once."""

    server: Server
    load: Load
    played: int = 0

    def play(self, calls: int, *, slots: int, scripts: int = 3, rate: float = 0.0) -> Run:
        load = replace(self.load, slots=slots, scripts=scripts, rate=rate)
        run = play(load, self.server, self.played, calls)
        self.played += calls
        return run


@contextmanager
def contenders(
    directory: Path, calls: int, preload: Mapping[str, str], *, bookings: int = BOOKINGS
) -> Iterator[dict[str, Contender]]:
    """Starts the three servers.

    Args:
        directory: Where their files are written.
        calls: The length of each server's workload.
        preload: Environment variables of the servers.
        bookings: Bookings in each database.
    """
    generator = built("generator", directory)
    with ExitStack() as running, silent_receiver() as callback:
        found = {}
        for name in (ENGINE, OBVIOUS, LIMIT):
            system = create_system(
                directory / name.replace(" ", "-"), (free_port(), free_port()), callback, bookings=bookings
            )
            calls_file = directory / f"{name.replace(' ', '-')}.calls"
            workload.write(calls_file, system.services, system.bookings, calls, system.token, run=1)
            server = running.enter_context(_server(name, system, directory, preload))
            found[name] = Contender(server, Load(generator, calls_file))
        yield found


def _server(
    name: str, system: BenchSystem, directory: Path, preload: Mapping[str, str]
) -> AbstractContextManager[Server]:
    log, port = directory / f"{name.replace(' ', '-')}.log", system.settings.fastagi_port
    if name == ENGINE:
        return servers.engine(system, log, preload)
    if name == OBVIOUS:
        return servers.obvious(system.settings.database, port, log, preload)
    services = directory / "services"
    services.write_text("".join(f"{service}\n" for service in system.services))
    return servers.limit(built("limit", directory), services, directory / "journal", port, log, preload)


@contextmanager
def silent_receiver() -> Iterator[str]:
    """A callback receiver that never answers. Callbacks stay in the outbox, so that sending them is not measured.

    The cost of sending depends on the receiver as well.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/calls"


def compare(
    contestants: Mapping[str, Contender], terms: Terms, show_progress: Callable[[str], None], slots: int
) -> dict[str, list[Run]]:
    """Plays all rounds, in each round the servers in random order."""
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for contender in contestants.values():
        contender.play(WARM_UP, slots=8)
    for round_ in range(terms.rounds):
        for name in random.sample(list(contestants), len(contestants)):
            runs[name].append(contestants[name].play(terms.calls_of(name), slots=slots))
        show_progress(
            f"round {round_ + 1} of {terms.rounds}: "
            + ", ".join(f"{name} {each[-1].rate:.0f}/s" for name, each in runs.items())
        )
    return runs


@dataclass(frozen=True)
class Line:
    """Medians of the rounds. Times are microseconds.

    Attributes:
        memory: Bytes.
        late: How late the engine's event loop was in the worst round, in ms: p99, longest, and the part of the
            longest that the engine itself can have caused.
    """

    name: str
    rate: float
    cpu: float
    busy: float
    p50: float
    p99: float
    p999: float
    memory: float
    failed: int
    late: tuple[int, int, int] | None

    @classmethod
    def of(cls, runs: list[Run]) -> "Line":
        route = [run.latency["route"] for run in runs]
        return cls(
            name=runs[0].server,
            rate=median(run.rate for run in runs),
            cpu=median(run.cpu_a_call for run in runs),
            busy=median(run.busy for run in runs),
            p50=median(each["p50"] for each in route),
            p99=median(each["p99"] for each in route),
            p999=median(each["p999"] for each in route),
            memory=median(run.memory for run in runs),
            failed=sum(run.failed for run in runs),
            late=_worst([run.late for run in runs if run.late]),
        )


def _worst(rounds: list[Lateness]) -> tuple[int, int, int] | None:
    if not rounds:
        return None
    return (
        max(each.p99_ms for each in rounds),
        max(each.longest_ms for each in rounds),
        max(each.own_ms for each in rounds),
    )
