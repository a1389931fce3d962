"""Runs the load generator against one server and measures both."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import GENERATOR_CORE, Server, on_core
from engine.runtime.diagnostics import Lateness

RUN_SECONDS = 900


@dataclass(frozen=True)
class Load:
    """What the generator plays.

    Attributes:
        slots: Calls at once.
        rate: Calls that begin in a second; 0 means a closed loop.
        scripts: How many scripts of each call are played: route, answered, ended.
    """

    program: Path
    workload: Path
    slots: int = 64
    rate: float = 0.0
    scripts: int = 3


@dataclass(frozen=True)
class Run:
    """Figures of one run. Times are microseconds.

    Attributes:
        busy: The generator's share of its core. Near 1 the generator itself is the bottleneck.
        behind: The longest delay with which the generator began a call of an open loop.
        late: How late the engine's event loop was.
    """

    server: str
    calls: int
    failed: int
    seconds: float
    busy: float
    behind: int
    cpu_a_call: float
    memory: int
    latency: dict[str, dict[str, int]]
    late: Lateness | None

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


def play(load: Load, server: Server, first: int, count: int) -> Run:
    """Plays `count` calls of the workload from `first` on. Raises CalledProcessError."""
    arguments = [server.port, load.workload, first, count, load.scripts, load.slots, load.rate]
    server.lateness(watch_seconds=RUN_SECONDS)
    used = server.cpu()
    done = subprocess.run(
        [*on_core(GENERATOR_CORE), load.program, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=RUN_SECONDS,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return Run(
        server.name,
        report["calls"],
        report["failed"],
        report["seconds"],
        report["busy"],
        report["behind"],
        (server.cpu() - used) * 1e6 / max(1, report["calls"]),
        server.memory(),
        {script: report[script] for script in ("route", "answered", "ended") if script in report},
        server.lateness(),
    )
