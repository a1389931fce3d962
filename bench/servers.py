"""The servers that are measured, each a process of its own on a core of its own, ended by its pid."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench.house import House, environment_of
from engine.control.client import ask_lateness
from engine.runtime.diagnostics import Lateness, LatenessRequest

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
STOP_SECONDS = 30.0
CORES = sorted(os.sched_getaffinity(0))
# Where there are two, the server has the one and the load generator the other.
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]


def on_core(core: int) -> list[str]:
    """What to put before a command."""
    return ["taskset", "--cpu-list", str(core)]


@dataclass(frozen=True)
class Server:
    """`started`: how long it took until it answered (the engine) or listened, in seconds. `house`: the engine's, which
    can be asked how late its event loop is."""

    name: str
    port: int
    process: psutil.Process
    started: float
    house: House | None = None

    def cpu(self) -> float:
        """Seconds of all its threads so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)

    def lateness(self, watch_seconds: int = 0) -> Lateness | None:
        """Of its event loop, as far as it was watched since this was last asked. None: it is no engine."""
        return (
            None if self.house is None else ask_lateness(self.house.settings.data_dir, LatenessRequest(watch_seconds))
        )


@contextmanager
def engine(house: House, log: Path, preload: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The product's own process, logging to a file as a service does."""
    command = [sys.executable, "-m", "engine", "serve"]
    with _running(
        "engine", command, house.settings.fastagi_port, log, {**environment_of(house.settings), **(preload or {})}
    ) as server:
        waiting = time.monotonic()
        _ask(house.settings.http_port)
        yield replace(server, house=house, started=server.started + time.monotonic() - waiting)


@contextmanager
def obvious(database: Path, port: int, log: Path, preload: Mapping[str, str] | None = None) -> Iterator[Server]:
    command = [sys.executable, "-m", "bench.rivals.obvious", str(port), str(database)]
    with _running("obvious design", command, port, log, preload or {}) as server:
        yield server


@contextmanager
def bare_api(house: House, pepper: str, log: Path) -> Iterator[Server]:
    settings = house.settings
    command = [sys.executable, "-m", "bench.rivals.bare_api", str(settings.http_port), str(settings.database), pepper]
    with _running("bare", command, settings.http_port, log, {}) as server:
        yield server


@contextmanager
def limit(
    program: Path, services: Path, journal: Path, port: int, log: Path, preload: Mapping[str, str] | None = None
) -> Iterator[Server]:
    with _running("limit", [program, str(port), journal, services], port, log, preload or {}) as server:
        yield server


@contextmanager
def _running(
    name: str, command: Sequence[str | Path], port: int, log: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    began = time.monotonic()
    with log.open("ab") as out:
        child = subprocess.Popen(
            [*on_core(SERVER_CORE), *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        _wait_for(port, child, log)
        yield Server(name, port, psutil.Process(child.pid), time.monotonic() - began)
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _ask(port: int) -> None:
    """It listens before it can answer: this takes until it does, whatever it answers."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()


def _wait_for(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            raise RuntimeError(f"it ended at once: {log.read_text()[-2000:]}")
        # Not by connecting: panoramisk's own handler never comes back from a peer that closes without a word.
        if any(
            each.laddr.port == port for each in psutil.Process(child.pid).net_connections() if each.status == "LISTEN"
        ):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on {port}")
