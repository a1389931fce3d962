"""Calls that come when they come, whatever became of those before: how long a caller then waits.

Of each server a closed loop tells how many calls a second it can have at most; then it gets shares of that at an even
pace. A route's time runs from when its call was due, so that one who comes while the server is behind waits in the
figures, too.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.compare import WARM_UP, Contender, contenders
from bench.load import Run

SHARES = (0.25, 0.5, 0.75, 0.9)
SECONDS = 10.0
CLOSED_CALLS, CLOSED_SLOTS, CLOSED_ROUNDS = 1_500, 64, 3
# More at once than any of them is to have: who comes while none is free begins late, which is shown.
SLOTS = 1_024
MOST_CALLS = 4_000
CALLS = WARM_UP + CLOSED_ROUNDS * CLOSED_CALLS + len(SHARES) * MOST_CALLS
HEADINGS = ("of its most", "calls/s due", "done", "route p50 ms", "p99", "p99.9", "longest", "begun late by", "failed")
out = Console(width=120, highlight=False)


def open_loop(directory: Path, say: Callable[[str], None]) -> None:
    table = Table("", title="Calls at an even pace (open loop)", title_justify="left")
    for heading in (*HEADINGS, "generator busy"):
        table.add_column(heading, justify="right")
    with contenders(directory, CALLS, {}) as all_of_them:
        most = {name: _most(contender) for name, contender in all_of_them.items()}
        say("at most: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in most.items()))
        for share in SHARES:
            for name, contender in all_of_them.items():
                rate = share * most[name]
                run = contender.play(min(MOST_CALLS, max(100, int(rate * SECONDS))), slots=SLOTS, rate=rate)
                table.add_row(name, f"{share:.0%}", f"{rate:.0f}", *_cells(run))
            table.add_section()
    out.print(table)


def _most(contender: Contender) -> float:
    contender.play(WARM_UP, slots=8)
    return median(contender.play(CLOSED_CALLS, slots=CLOSED_SLOTS).rate for _ in range(CLOSED_ROUNDS))


def _cells(run: Run) -> list[str]:
    route = run.latency["route"]
    waits = [
        f"{microseconds / 1000:.1f}"
        for microseconds in (*(route[name] for name in ("p50", "p99", "p999", "max")), run.behind)
    ]
    return [f"{run.rate:.0f}", *waits, str(run.failed), f"{run.busy:.0%}"]
