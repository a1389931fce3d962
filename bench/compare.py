"""Servers side by side: shuffled rounds of the same load, medians of what each round gave."""

import random
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import servers, workload
from bench.house import House, furnish
from bench.load import Load, Run, play
from bench.native import built
from bench.servers import Server
from engine.runtime.diagnostics import Lateness
from phones.ports import free_port

ENGINE, OBVIOUS, LIMIT = "engine", "obvious design", "limit"
BOOKINGS = 5_000
WARM_UP = 200


@dataclass(frozen=True)
class Terms:
    """`rounds` of `calls` each for every server; a slower server gets `share` of the calls."""

    rounds: int
    calls: int
    share: Mapping[str, float]

    def calls_of(self, name: str) -> int:
        return max(20, int(self.calls * self.share.get(name, 1.0)))


@dataclass
class Contender:
    """A server over a house of its own, with calls that it has not had yet."""

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
    directory: Path, calls: int, preload: Mapping[str, str], *, held: int = BOOKINGS
) -> Iterator[dict[str, Contender]]:
    """All three, running. `calls`: how many each can be given at most."""
    generator = built("generator", directory)
    with ExitStack() as running, silent_receiver() as callback:
        found = {}
        for name in (ENGINE, OBVIOUS, LIMIT):
            house = furnish(directory / name.replace(" ", "-"), (free_port(), free_port()), callback, held=held)
            calls_file = directory / f"{name.replace(' ', '-')}.calls"
            workload.write(calls_file, house.services, house.bookings, calls, house.token, run=1)
            server = running.enter_context(_server(name, house, directory, preload))
            found[name] = Contender(server, Load(generator, calls_file))
        yield found


def _server(name: str, house: House, directory: Path, preload: Mapping[str, str]) -> AbstractContextManager[Server]:
    log, port = directory / f"{name.replace(' ', '-')}.log", house.settings.fastagi_port
    if name == ENGINE:
        return servers.engine(house, log, preload)
    if name == OBVIOUS:
        return servers.obvious(house.settings.database, port, log, preload)
    services = directory / "services"
    services.write_text("".join(f"{service}\n" for service in house.services))
    return servers.limit(built("limit", directory), services, directory / "journal", port, log, preload)


@contextmanager
def silent_receiver() -> Iterator[str]:
    """A receiver of callbacks that never answers: they are written down and wait, and sending them costs nothing.
    What it costs to send them is another matter, of the receiver's as well."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/calls"


def compare(
    all_of_them: Mapping[str, Contender], terms: Terms, say: Callable[[str], None], slots: int
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in all_of_them}
    for contender in all_of_them.values():
        contender.play(WARM_UP, slots=8)
    for round_ in range(terms.rounds):
        for name in random.sample(list(all_of_them), len(all_of_them)):
            runs[name].append(all_of_them[name].play(terms.calls_of(name), slots=slots))
        say(
            f"round {round_ + 1} of {terms.rounds}: "
            + ", ".join(f"{name} {each[-1].rate:.0f}/s" for name, each in runs.items())
        )
    return runs


@dataclass(frozen=True)
class Line:
    """Medians of the rounds. Microseconds; `memory` in bytes. `late`: how late the engine's event loop was at
    worst, in milliseconds: 99th centile, longest, and what of it can be its own doing."""

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
    return (
        (
            max(each.p99_ms for each in rounds),
            max(each.longest_ms for each in rounds),
            max(each.own_ms for each in rounds),
        )
        if rounds
        else None
    )
