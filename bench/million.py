"""Compares an engine with a million bookings and ten million call records to one with an empty database.

MILLION="BOOKINGS CALLS_EACH" sets other sizes.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from rich.console import Console

from bench import servers
from bench.compare import Line, Terms, compare, enter, lateness, silent_receiver
from bench.contender import Run
from bench.generator import Round
from bench.goals import Measured
from bench.system import BenchSystem, create_system
from phones.ports import free_port

BOOKINGS, CALLS_EACH = map(int, os.environ.get("MILLION", "1000000 10").split())
FEW_BOOKINGS = 5_000
TERMS = Terms(5, Round(6_000), {})
STARTS = 3
PAGES = 20
LISTS = ("/cdr?limit=100", "/bookings?limit=100")
out = Console(width=120, highlight=False)


def million(directory: Path) -> Measured:
    """Start time, calls and pages of an engine with a large database."""
    with silent_receiver() as callback:
        began = time.monotonic()
        full = _system(directory / "full", callback, BOOKINGS, CALLS_EACH)
        out.print(
            f"{BOOKINGS:,} bookings and {BOOKINGS * CALLS_EACH:,} calls written in {time.monotonic() - began:.0f} s: "
            f"{full.settings.database.stat().st_size / 1e9:.1f} GB"
        )
        empty = _system(directory / "empty", callback, FEW_BOOKINGS, 0)
        many, few = (median(_start(system, directory) for _ in range(STARTS)) for system in (full, empty))
        out.print(f"start to first answer: {many:.2f} s, {few:.2f} s with an empty database")
        return _play(full, empty, directory)


def _system(directory: Path, callback: str, bookings: int, calls_each: int) -> BenchSystem:
    ports = (free_port(), free_port())
    more = {"ami_port": free_port()}
    return create_system(directory, ports, callback, bookings=bookings, calls_each=calls_each, more=more)


def _start(system: BenchSystem, directory: Path) -> float:
    with servers.engine(system, directory / "start.log") as server:
        return server.started


def _play(full: BenchSystem, empty: BenchSystem, directory: Path) -> Measured:
    with ExitStack() as running:
        systems = {"full": full, "empty": empty}
        both = {name: enter(running, directory, name, each, TERMS.most_calls) for name, each in systems.items()}
        runs = compare(both, TERMS, out.print)
        late = {name: lateness(contender, TERMS.round) for name, contender in both.items()}
        log = full.settings.database.with_name(f"{full.settings.database.name}-wal").stat().st_size
        pages = {path: _pages(full, path) for path in LISTS}
    _show(runs["full"], runs["empty"])
    for name, each in late.items():
        failed = Line.of(runs[name]).failed
        out.print(f"{name}: {failed} failed; event loop late, ms (p99, longest, own part): {each}")
    out.print(f"greatest length of the write-ahead log: {log / 1e6:.0f} MB")
    for path, took in pages.items():
        out.print(f"first page of {path}: median {median(took):.1f} ms, longest {max(took):.1f} ms")
    return {"million_rate": _ratio(runs["full"], runs["empty"], lambda run: run.rate)}


def _ratio(full: list[Run], empty: list[Run], of: Callable[[Run], float]) -> float:
    """The median of each round's ratio: other load on the machine affects both sides of a round."""
    return median(of(one) / of(other) for one, other in zip(full, empty, strict=True))


def _show(full: list[Run], empty: list[Run]) -> None:
    """Shows medians, and ratios."""

    def line(name: str, of: Callable[[Run], float], unit: str) -> None:
        many, few = (median(of(run) for run in runs) for runs in (full, empty))
        out.print(f"{name}: {many:.0f} full, {few:.0f} empty ({unit}), ratio {_ratio(full, empty, of):.2f}")

    line("throughput", lambda run: run.rate, "calls/s")
    line("CPU", lambda run: run.cpu_a_call, "µs a call")
    for part in ("p50", "p99", "p999"):
        line(f"route {part}", lambda run, part=part: run.latency["route"][part], "µs")  # type: ignore[misc]  # of lambdas


def _pages(system: BenchSystem, path: str) -> list[float]:
    """Requests a page several times. Returns the milliseconds of each request."""
    took = []
    with closing(HTTPConnection("127.0.0.1", system.settings.http_port, timeout=30)) as connection:
        for _ in range(PAGES):
            began = time.monotonic()
            connection.request("GET", path, headers={"Authorization": f"Bearer {system.key}"})
            answer = connection.getresponse()
            answer.read()
            took.append((time.monotonic() - began) * 1000)
            assert answer.status == 200
    return took
