"""Starts the measured servers. Each is a process of its own on the servers' core, and is ended by its pid."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench.books import Answered, Books, Database, Journal
from bench.system import BenchSystem, environment_of
from engine.control.diagnostics import DIAGNOSTICS_VARIABLE, ask_lateness
from engine.runtime.diagnostics import Lateness, LatenessRequest

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
STOP_SECONDS = 30.0
# Characters of a server's log that a failure shows.
LOG_TAIL = 4_000
CORES = sorted(os.sched_getaffinity(0))
# With two or more cores the server and the load generator have a core each.
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]


def on_cores(*cores: int) -> list[str]:
    """The words before a command that bind it to cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores))]


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        log: The file with its output.
        started: Seconds until it answered (the engine) or listened (the others).
        books: Where it can be seen whether it has settled all calls.
        system: The engine's data directory, through which its diagnostics are reached. None for other servers.
    """

    name: str
    port: int
    process: psutil.Process
    log: Path
    started: float
    books: Books = field(default_factory=Answered)
    system: BenchSystem | None = None

    def cpu(self) -> float:
        """CPU seconds of all its threads so far, to the nanosecond: /proc shows hundredths of a second."""
        return time.clock_gettime(cpu_clock(self.process.pid))

    def condition(self) -> str:
        """Whether it runs, what it has not settled, and the end of its log: for the message of a failure."""
        runs = self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        tail = self.log.read_text(errors="replace")[-LOG_TAIL:]
        return f"{self.name} {'runs' if runs else 'has ended'}; {self.books.pending()}; the end of its log:\n{tail}"

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)

    def lateness(self, watch_seconds: int = 0) -> Lateness | None:
        """How late the event loop was since the last question, as far as it was watched. None if it is no engine."""
        return (
            None if self.system is None else ask_lateness(self.system.settings.data_dir, LatenessRequest(watch_seconds))
        )


def cpu_clock(pid: int) -> int:
    """The id of the clock that counts a process's CPU (clock_getcpuclockid(3), which Python does not have)."""
    return (~pid << 3) | 2


@contextmanager
def engine(
    system: BenchSystem,
    log: Path,
    preload: Mapping[str, str] | None = None,
    cores: Sequence[int] = (SERVER_CORE,),
) -> Iterator[Server]:
    """The product's own process. It logs to a file, as a service does."""
    command = [sys.executable, "-m", "engine", "serve"]
    with _running(
        "engine",
        command,
        system.settings.fastagi_port,
        log,
        {**environment_of(system.settings), DIAGNOSTICS_VARIABLE: "1", **(preload or {})},
        cores,
    ) as server:
        waiting = time.monotonic()
        _ask(system.settings.http_port)
        started = server.started + time.monotonic() - waiting
        yield replace(server, books=Database(system.settings.database), system=system, started=started)


@contextmanager
def obvious(database: Path, port: int, log: Path, preload: Mapping[str, str] | None = None) -> Iterator[Server]:
    command = [sys.executable, "-m", "bench.other_designs.obvious", str(port), str(database)]
    with _running("obvious design", command, port, log, preload or {}) as server:
        yield server


@contextmanager
def bare_api(system: BenchSystem, pepper: str, log: Path) -> Iterator[Server]:
    settings = system.settings
    command = [
        sys.executable,
        "-m",
        "bench.other_designs.bare_api",
        str(settings.http_port),
        str(settings.database),
        pepper,
    ]
    with _running("bare", command, settings.http_port, log, {}) as server:
        yield server


@contextmanager
def limit(
    program: Path,
    services: Path,
    journal: Path,
    port: int,
    ami_port: int | None,
    log: Path,
    preload: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The limit of the machine. With `ami_port` its calls ask once."""
    command: list[str | Path] = [program, str(port), journal, services, *([] if ami_port is None else [str(ami_port)])]
    with _running("limit", command, port, log, preload or {}) as server:
        yield replace(server, books=Journal(journal))


@contextmanager
def _running(
    name: str,
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str],
    cores: Sequence[int] = (SERVER_CORE,),
) -> Iterator[Server]:
    began = time.monotonic()
    with log.open("ab") as out:
        child = subprocess.Popen(
            [*on_cores(*cores), *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        _wait_for(port, child, log)
        yield Server(name, port, psutil.Process(child.pid), log, time.monotonic() - began)
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _ask(port: int) -> None:
    """Waits until the engine answers, whatever the answer is: it listens before it can answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()


def _wait_for(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            raise RuntimeError(f"the server ended at once: {log.read_text()[-2000:]}")
        # Not by connecting: panoramisk's own handler never returns from a peer that closes without sending anything.
        if any(
            each.laddr.port == port for each in psutil.Process(child.pid).net_connections() if each.status == "LISTEN"
        ):
            return
        time.sleep(0.01)
    raise TimeoutError(f"no server listens on port {port}")
