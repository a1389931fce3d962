"""Measures how long callers wait when calls come at an even pace, whatever happened to earlier calls.

A closed loop finds each server's maximum. Then the server gets shares of that maximum at an even pace. The time of a
route runs from the moment when the call was due, so that a caller who comes while the server is behind waits in the
figures too.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.compare import WARM_UP, contenders
from bench.contender import Contender, Run
from bench.generator import Round

SHARES = (0.25, 0.5, 0.75, 0.9)
ROUNDS, SECONDS, MOST_CALLS = 3, 4.0, 4_000
CLOSED_CALLS, CLOSED_SLOTS = 2_000, 64
# More than any server needs at once. A call that finds no free slot begins late; the table shows by how much.
SLOTS = 1_024
CALLS = WARM_UP.calls + ROUNDS * (CLOSED_CALLS + len(SHARES) * MOST_CALLS)
HEADINGS = (
    "of its maximum",
    "calls/s due",
    "done",
    "route p50 ms",
    "p99",
    "p99.9",
    "longest",
    "begun late by",
    "failed",
)
out = Console(width=120, highlight=False)


def open_loop(directory: Path, show_progress: Callable[[str], None]) -> None:
    """Route times of the servers at shares of their maximum."""
    table = Table("", title="Calls at an even pace (open loop)", title_justify="left")
    for heading in (*HEADINGS, "generator busy"):
        table.add_column(heading, justify="right")
    with contenders(directory, CALLS, {}) as contestants:
        maximum = {name: _maximum(contender) for name, contender in contestants.items()}
        show_progress("maximum: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in maximum.items()))
        for share in SHARES:
            for name, runs in _rounds(contestants, {name: share * rate for name, rate in maximum.items()}).items():
                table.add_row(name, f"{share:.0%}", f"{share * maximum[name]:.0f}", *_cells(runs))
            table.add_section()
    out.print(table)


def _maximum(contender: Contender) -> float:
    contender.play(WARM_UP)
    return median(contender.play(Round(CLOSED_CALLS, slots=CLOSED_SLOTS)).rate for _ in range(ROUNDS))


def _rounds(contestants: Mapping[str, Contender], rates: Mapping[str, float]) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name in random.sample(list(contestants), len(contestants)):
            calls = min(MOST_CALLS, max(100, int(rates[name] * SECONDS)))
            runs[name].append(contestants[name].play(Round(calls, slots=SLOTS, rate=rates[name])))
    return runs


def _cells(runs: list[Run]) -> list[str]:
    """Medians of the rounds."""
    waits = [median(run.latency["route"][part] for run in runs) for part in ("p50", "p99", "p999", "max")]
    waits.append(median(run.behind for run in runs))
    return [
        f"{median(run.rate for run in runs):.0f}",
        *(f"{microseconds / 1000:.1f}" for microseconds in waits),
        str(sum(run.failed for run in runs)),
        f"{median(run.busy for run in runs):.0%}",
    ]
