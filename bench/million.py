"""Compares an engine with a million bookings and ten million call records to one with an empty database.

MILLION="BOOKINGS CALLS_EACH" sets other sizes.
"""

import os
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from rich.console import Console

from bench import servers, workload
from bench.compare import Contender, Line, Terms, compare, silent_receiver
from bench.load import Load, Run
from bench.native import built
from bench.system import BenchSystem, create_system
from phones.ports import free_port

BOOKINGS, CALLS_EACH = map(int, os.environ.get("MILLION", "1000000 10").split())
FEW_BOOKINGS = 5_000
TERMS = Terms(5, 4_000, {})
SLOTS = 64
STARTS = 3
PAGES = 20
LISTS = ("/cdr?limit=100", "/bookings?limit=100")
out = Console(width=120, highlight=False)


def million(directory: Path) -> None:
    """Start time, calls and pages of an engine with a large database."""
    generator = built("generator", directory)
    with silent_receiver() as callback:
        began = time.monotonic()
        full = create_system(
            directory / "full", (free_port(), free_port()), callback, bookings=BOOKINGS, calls_each=CALLS_EACH
        )
        out.print(
            f"{BOOKINGS:,} bookings and {BOOKINGS * CALLS_EACH:,} calls written in {time.monotonic() - began:.0f} s: "
            f"{full.settings.database.stat().st_size / 1e9:.1f} GB"
        )
        empty = create_system(directory / "empty", (free_port(), free_port()), callback, bookings=FEW_BOOKINGS)
        many, few = (median(_start(system, directory) for _ in range(STARTS)) for system in (full, empty))
        out.print(f"start to first answer: {many:.2f} s, {few:.2f} s with an empty database")
        _play(full, empty, generator, directory)


def _start(system: BenchSystem, directory: Path) -> float:
    with servers.engine(system, directory / "start.log") as server:
        return server.started


def _play(full: BenchSystem, empty: BenchSystem, generator: Path, directory: Path) -> None:
    with (
        servers.engine(full, directory / "full.log") as first,
        servers.engine(empty, directory / "empty.log") as second,
    ):
        both = {
            "full": _contender(first, full, generator, directory),
            "empty": _contender(second, empty, generator, directory),
        }
        runs = compare(both, TERMS, out.print, SLOTS)
        log = full.settings.database.with_name(f"{full.settings.database.name}-wal").stat().st_size
        pages = {path: _pages(full, path) for path in LISTS}
    _show(runs["full"], runs["empty"])
    out.print(f"greatest length of the write-ahead log: {log / 1e6:.0f} MB")
    for path, took in pages.items():
        out.print(f"first page of {path}: median {median(took):.1f} ms, longest {max(took):.1f} ms")


def _show(full: list[Run], empty: list[Run]) -> None:
    """Shows medians, and the median of each round's ratio: other load on the machine affects both sides of a round."""

    def line(name: str, of: Callable[[Run], float], unit: str) -> None:
        many, few = [of(run) for run in full], [of(run) for run in empty]
        ratio = median(one / other for one, other in zip(many, few, strict=True))
        out.print(f"{name}: {median(many):.0f} full, {median(few):.0f} empty ({unit}), ratio {ratio:.2f}")

    line("throughput", lambda run: run.rate, "calls/s")
    line("CPU", lambda run: run.cpu_a_call, "µs a call")
    for part in ("p50", "p99", "p999"):
        line(f"route {part}", lambda run, part=part: run.latency["route"][part], "µs")  # type: ignore[misc]  # of lambdas
    for name, runs in (("full", full), ("empty", empty)):
        summary = Line.of(runs)
        out.print(f"{name}: {summary.failed} failed; event loop late, ms (p99, longest, own part): {summary.late}")


def _contender(server: servers.Server, system: BenchSystem, generator: Path, directory: Path) -> Contender:
    calls_file = directory / f"{system.settings.data_dir.name}.calls"
    calls = TERMS.rounds * TERMS.calls + 1_000
    workload.write(calls_file, system.services, system.bookings, calls, system.token, run=1)
    return Contender(server, Load(generator, calls_file))


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
