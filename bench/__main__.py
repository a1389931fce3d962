"""`make bench`: what a call costs, beside what else could be done and what the machine allows.

python -m bench [calls] [one] [slow] [memory] [api] [open] [million] [asterisk]   (the first five when none is named)
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
from bench.compare import ENGINE, LIMIT, OBVIOUS, Contender, Line, Terms, compare, contenders
from bench.forked import cpu_a_call
from bench.house import furnish
from bench.native import NoCompiler, built
from bench.servers import CORES
from phones.ports import free_port

out = Console(width=120, highlight=False)
SLOW_SYNC_MS = 5
HELD_FIRST, HELD = 1_000, 10_000
CLASSIC = "classic AGI"


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


HEADINGS = (
    *(
        "calls/s",
        "rate : obvious",
        "CPU µs a call",
        "CPU : limit",
        "route p50 µs",
        "p99",
        "p99.9",
        "MB",
        "generator busy",
    ),
    *("failed", "loop late ms: p99, longest (own)"),
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
    with contenders(directory, terms.rounds * terms.calls + 1000, preload) as all_of_them:
        runs = compare(all_of_them, terms, say, slots)
    show(title, [Line.of(each) for each in runs.values()])


def calls(directory: Path) -> None:
    terms = Terms(5, 6_000, {OBVIOUS: 0.2})
    side_by_side(directory, "Whole calls (route, answered, ended), durable, 64 at once", terms, {}, slots=64)
    house = furnish(directory / "classic", (free_port(), free_port()), "http://127.0.0.1:9/", held=100)
    cpu, route = cpu_a_call(house.settings.database, house.services, house.bookings, house.token, rounds=3, calls=10)
    out.print(f"{CLASSIC}, a Python for each script: {cpu:.0f} µs of CPU a call, route {route:.0f} µs")


def one(directory: Path) -> None:
    terms = Terms(5, 1_000, {OBVIOUS: 0.5})
    side_by_side(directory, "One caller at a time", terms, {}, slots=1)


def slow(directory: Path) -> None:
    preload = {"LD_PRELOAD": str(built("slow_sync", directory)), "SLOW_SYNC_MS": str(SLOW_SYNC_MS)}
    terms = Terms(3, 3_000, {OBVIOUS: 0.05})
    side_by_side(
        directory, f"Each sync of the disk takes {SLOW_SYNC_MS} ms longer, 64 at once", terms, preload, slots=64
    )


def memory(directory: Path) -> None:
    """Calls that are let through and answered, and go on."""
    with contenders(directory, HELD_FIRST + HELD + 1000, {}) as all_of_them:
        held: Contender = all_of_them[ENGINE]
        before = held.play(HELD_FIRST, scripts=2, slots=32).memory
        after = held.play(HELD, scripts=2, slots=32).memory
    out.print(f"Memory of the engine for each live call beyond the first thousand: {(after - before) / HELD:.0f} bytes")


SCENARIOS: dict[str, Callable[[Path], None]] = {
    "calls": calls,
    "one": one,
    "slow": slow,
    "memory": memory,
    "api": partial(api, say=say),
    "million": million.million,
    "open": partial(open_loop.open_loop, say=say),
    "asterisk": lambda directory: scenario.asterisk(directory, say),
}


def main(wanted: list[str] = typer.Argument(None, help=f"of {', '.join(SCENARIOS)}")) -> None:  # noqa: B008  as typer has it
    if len(CORES) < 2:
        say("one core only: server and generator are in each other's way")
    for name in wanted or ["calls", "one", "slow", "memory", "api"]:
        with tempfile.TemporaryDirectory(prefix="rented-numbers-bench-") as directory:
            try:
                SCENARIOS[name](Path(directory))
            except NoCompiler as error:
                raise SystemExit(str(error)) from None


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
