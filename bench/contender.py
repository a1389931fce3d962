"""A server that takes part in a comparison: it, its database, its load generator, and what a round of calls cost it."""

import time
from dataclasses import dataclass
from typing import Any

from bench.generator import Generator, Round
from bench.servers import Server
from bench.workload import Shape
from engine.runtime.diagnostics import Lateness

SETTLE_SECONDS = 120.0
# How often it is looked whether everything is settled. The generator's core pays for it.
LOOK_SECONDS = 0.001
WATCH_SECONDS = 900


@dataclass(frozen=True)
class Run:
    """Figures of one round. Times are microseconds where nothing else is said.

    Attributes:
        seconds: From the first call's begin until the server had settled all calls.
        settling: The part of `seconds` after the generator had sent everything.
        busy: The generator's share of its core. Near 1 the generator itself is the bottleneck.
        behind: The longest delay with which the generator began a call of an open loop.
        unheard: Events for which no server was connected.
        backlog: The most bytes of events that waited for the server to read them.
    """

    server: str
    shape: Shape
    calls: int
    failed: int
    seconds: float
    settling: float
    busy: float
    behind: int
    unheard: int
    backlog: int
    cpu_a_call: float
    memory: int
    latency: dict[str, dict[str, int]]
    late: Lateness | None

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


@dataclass
class Contender:
    """A server with its own database, and a workload. Each call of the workload is played once.

    Attributes:
        played: Calls so far.
        steps_done: Requests and reports so far.
    """

    server: Server
    generator: Generator
    shape: Shape
    played: int = 0
    steps_done: int = 0

    def play(self, round_: Round, *, watched: bool = False) -> Run:
        """Plays a round.

        The time and the CPU of a round include everything until its last call is settled.

        Args:
            round_: What is played.
            watched: Whether to measure how late the engine's event loop is, which itself costs the engine CPU.
        """
        if watched:
            self.server.lateness(WATCH_SECONDS)
        used = self.server.cpu()
        figures = self.generator.play(self.played, round_)
        self.played += round_.calls
        self.steps_done += figures["bridged"] * round_.steps + figures["failed"]
        settled = self._wait_settled(ended=round_.steps == 3)
        used = self.server.cpu() - used
        late = self.server.lateness() if watched else None
        return self._run(figures, settled, used, late)

    def _wait_settled(self, *, ended: bool) -> float:
        """Waits until the server has settled all that was played. Returns when, in seconds of the monotonic clock."""
        until = time.monotonic() + SETTLE_SECONDS
        while not self.server.books.has_done(self.steps_done, ended=ended):
            if time.monotonic() > until:
                raise TimeoutError(f"calls are not settled: {self.server.condition()}")
            time.sleep(LOOK_SECONDS)
        return time.monotonic()

    def _run(self, figures: dict[str, Any], settled: float, used: float, late: Lateness | None) -> Run:
        return Run(
            server=self.server.name,
            shape=self.shape,
            calls=figures["calls"],
            failed=figures["failed"],
            seconds=settled - figures["began"],
            settling=settled - figures["sent"],
            busy=figures["busy"],
            behind=figures["behind"],
            unheard=figures["unheard"],
            backlog=figures["backlog"],
            cpu_a_call=used * 1e6 / max(1, figures["calls"]),
            memory=self.server.memory(),
            latency={step: figures[step] for step in ("route", "answered", "ended") if step in figures},
            late=late,
        )
