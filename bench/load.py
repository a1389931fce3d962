"""One run of the load generator against one server, and what both of them used."""

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
    """`slots`: calls at once. `rate` 0: closed loop, else so many begin a second. `scripts` of each are played."""

    program: Path
    workload: Path
    slots: int = 64
    rate: float = 0.0
    scripts: int = 3


@dataclass(frozen=True)
class Run:
    """Times in microseconds. `busy`: the generator's own share of its core; near 1, it is what was measured. `behind`:
    the longest that it began a call of the open loop too late. `late`: of the engine's event loop."""

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
    """Calls `first` up to `first + count` of the workload. Raises CalledProcessError."""
    arguments = [server.port, load.workload, first, count, load.scripts, load.slots, load.rate]
    server.lateness(watch_seconds=RUN_SECONDS)
    used = server.cpu()
    done = subprocess.run(
        [*on_core(GENERATOR_CORE), load.program, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=RUN_SECONDS,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return Run(
        server.name,
        said["calls"],
        said["failed"],
        said["seconds"],
        said["busy"],
        said["behind"],
        (server.cpu() - used) * 1e6 / max(1, said["calls"]),
        server.memory(),
        {script: said[script] for script in ("route", "answered", "ended") if script in said},
        server.lateness(),
    )
