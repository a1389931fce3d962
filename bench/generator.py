"""Runs the load generator: the Asterisk of one server, which plays rounds of calls on order."""

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import GENERATOR_CORE, on_cores

ROUND_SECONDS = 900
STOP_SECONDS = 10.0
# How long a call rings, and then talks. A call that asks once holds no slot meanwhile.
PAUSE_MS = 20.0


@dataclass(frozen=True)
class Round:
    """What is played.

    Attributes:
        calls: How many calls.
        slots: Requests at once.
        steps: How much of each call is played: route, answer, end.
        rate: Calls that begin in a second; 0 means a closed loop, in which each slot begins a call when it is free.
        pause_ms: How long a call rings, and then talks.
        patient: Whether a slot holds its call to the end and rests for `pause_ms` after each step.
    """

    calls: int
    slots: int = 64
    steps: int = 3
    rate: float = 0.0
    pause_ms: float = PAUSE_MS
    patient: bool = False


@dataclass(frozen=True)
class ManagerSide:
    """What the generator needs to send reports.

    Attributes:
        port: Where it listens as Asterisk's manager interface.
        token: The token that authenticates reports.
        spool: The file to which it appends the ends of calls.
    """

    port: int
    token: str
    spool: Path


@dataclass(frozen=True)
class Generator:
    """A running load generator."""

    process: "subprocess.Popen[str]"

    def play(self, first: int, round_: Round) -> dict[str, Any]:
        """Plays calls of the workload from `first` on. Returns when everything is sent, with the generator's figures.

        Raises:
            TimeoutError: A call did not come to its end.
            RuntimeError: The generator ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = [first, round_.calls, round_.steps, round_.slots, round_.rate, int(round_.pause_ms * 1000)]
        self.process.stdin.write(" ".join(map(str, [*order, int(round_.patient)])) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], ROUND_SECONDS)[0]:
            raise TimeoutError("a round did not come to its end")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the load generator ended with {self.process.wait()}")
        figures: dict[str, Any] = json.loads(answer)
        return figures


@contextmanager
def generator(program: Path, workload: Path, port: int, manager: ManagerSide | None) -> Iterator[Generator]:
    """Starts a generator for the server whose FastAGI port is `port`. With `manager`, its calls ask once."""
    command: list[str | Path] = [*on_cores(GENERATOR_CORE), program, workload, str(port)]
    if manager is not None:
        manager.spool.parent.mkdir(parents=True, exist_ok=True)
        command += [str(manager.port), manager.token, manager.spool]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Generator(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()  # the generator ends by itself
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
