"""`make bench`: measures what a call costs, compared with other designs and with the limit of the machine.

    python -m bench [PART ...]

Each part prints figures that docs/performance.md quotes. `PARTS` below describes them.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from bench import million, open_loop
from bench.api import api
from bench.asterisk import scenario
from bench.classic_agi import cpu_a_call
from bench.compare import ENGINE, LIMIT, OBVIOUS, Contender, Line, Terms, compare, contenders
from bench.native import NoCompiler, built
from bench.servers import CORES
from bench.system import create_system
from phones.ports import free_port

out = Console(width=120, highlight=False)
SLOW_SYNC_MS = 5
HELD_FIRST, HELD = 1_000, 10_000
CLASSIC = "classic AGI"


def show_progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


HEADINGS = (
    "calls/s",
    "rate : obvious",
    "CPU µs a call",
    "CPU : limit",
    "route p50 µs",
    "p99",
    "p99.9",
    "MB",
    "generator busy",
    "failed",
    "loop late ms: p99, longest (own)",
)


def show(title: str, lines: list[Line]) -> None:
    by_name = {line.name: line for line in lines}
    table = Table("", title=title, title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for line in lines:
        table.add_row(line.name, *_cells(line, by_name[OBVIOUS], by_name[LIMIT]))
    out.print(table)


def _cells(line: Line, obvious: Line, limit: Line) -> list[str]:
    return [
        f"{line.rate:.0f}",
        f"{line.rate / obvious.rate:.1f}",
        f"{line.cpu:.0f}",
        f"{line.cpu / limit.cpu:.1f}",
        f"{line.p50:.0f}",
        f"{line.p99:.0f}",
        f"{line.p999:.0f}",
        f"{line.memory / 1e6:.0f}",
        f"{line.busy:.0%}",
        str(line.failed),
        "{}, {} ({})".format(*line.late) if line.late else "",
    ]


def side_by_side(directory: Path, title: str, terms: Terms, preload: Mapping[str, str], slots: int) -> None:
    with contenders(directory, terms.rounds * terms.calls + 1000, preload) as contestants:
        runs = compare(contestants, terms, show_progress, slots)
    show(title, [Line.of(each) for each in runs.values()])


def calls(directory: Path) -> None:
    """64 calls at once, and classic AGI one call at a time."""
    terms = Terms(5, 6_000, {OBVIOUS: 0.2})
    side_by_side(directory, "Whole calls (route, answered, ended), durable, 64 at once", terms, {}, slots=64)
    system = create_system(directory / "classic", (free_port(), free_port()), "http://127.0.0.1:9/", bookings=100)
    cpu, route = cpu_a_call(
        system.settings.database, system.services, system.bookings, system.token, rounds=3, calls=10
    )
    out.print(f"{CLASSIC}, one Python process for each script: {cpu:.0f} µs of CPU a call, route {route:.0f} µs")


def one(directory: Path) -> None:
    """One call at a time."""
    terms = Terms(5, 1_000, {OBVIOUS: 0.5})
    side_by_side(directory, "One caller at a time", terms, {}, slots=1)


def slow(directory: Path) -> None:
    """64 calls at once on a disk whose syncs take longer."""
    preload = {"LD_PRELOAD": str(built("slow_sync", directory)), "SLOW_SYNC_MS": str(SLOW_SYNC_MS)}
    terms = Terms(3, 3_000, {OBVIOUS: 0.05})
    side_by_side(
        directory, f"Each disk sync takes {SLOW_SYNC_MS} ms longer, 64 calls at once", terms, preload, slots=64
    )


def memory(directory: Path) -> None:
    """The engine's memory for each live call: calls are routed and answered, and do not end."""
    with contenders(directory, HELD_FIRST + HELD + 1000, {}) as contestants:
        engine: Contender = contestants[ENGINE]
        before = engine.play(HELD_FIRST, scripts=2, slots=32).memory
        after = engine.play(HELD, scripts=2, slots=32).memory
    out.print(f"Memory of the engine for each live call beyond the first thousand: {(after - before) / HELD:.0f} bytes")


PARTS: dict[str, Callable[[Path], None]] = {
    "calls": calls,
    "one": one,
    "slow": slow,
    "memory": memory,
    "api": partial(api, show_progress=show_progress),
    "million": million.million,
    "open": partial(open_loop.open_loop, show_progress=show_progress),
    "asterisk": partial(scenario.asterisk, show_progress=show_progress),
}
DEFAULT_PARTS = ("calls", "one", "slow", "memory", "api")
HELP = f"""Any of: {", ".join(PARTS)}. Without one: {", ".join(DEFAULT_PARTS)}.

calls: 64 calls at once. one: one call at a time. slow: a slow disk. memory: bytes for each live call.
api: HTTP requests. million: a database with a million bookings. open: calls at an even pace.
asterisk: the whole system with a real Asterisk."""


def main(parts: list[str] = typer.Argument(None, help=HELP)) -> None:  # noqa: B008  typer reads the default
    """Measure what a call costs."""
    if unknown := set(parts or ()) - PARTS.keys():
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}. {HELP}")
    if len(CORES) < 2:
        show_progress("This machine has one core only: the server and the load generator compete for it.")
    for name in parts or DEFAULT_PARTS:
        with tempfile.TemporaryDirectory(prefix="rented-numbers-bench-") as directory:
            try:
                PARTS[name](Path(directory))
            except NoCompiler as error:
                raise SystemExit(str(error)) from None


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
