"""`make bench`: measures what a call costs, compared with other designs and with the limit of the machine.

    python -m bench [PART ...]

Each part prints figures that docs/performance.md quotes. `PARTS` below describes them.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from bench import calls, million, open_loop, postgresql
from bench.api import api
from bench.asterisk import scenario
from bench.goals import Measured, show_goals
from bench.interpreter import describe
from bench.native import NoCompiler
from bench.servers import CORES, GENERATOR_CORE

out = Console(width=120, highlight=False)
BUSY_LOAD = 0.3


def show_progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


PARTS: dict[str, Callable[[Path], Measured | None]] = {
    "calls": partial(calls.calls, show_progress=show_progress),
    "one": partial(calls.one, show_progress=show_progress),
    "slow": partial(calls.slow, show_progress=show_progress),
    "memory": calls.memory,
    "api": partial(api, show_progress=show_progress),
    "million": million.million,
    "open": partial(open_loop.open_loop, show_progress=show_progress),
    "postgresql": partial(postgresql.postgresql, show_progress=show_progress),
    "asterisk": partial(scenario.asterisk, show_progress=show_progress),
}
DEFAULT_PARTS = ["calls", "one", "slow", "memory", "api"]
HELP = f"""Any of: {", ".join(PARTS)}. Without one: {", ".join(DEFAULT_PARTS)}.

calls: 64 calls at once. one: one call at a time. slow: a slow disk. memory: bytes for each live call.
api: HTTP requests. million: a database with a million bookings. open: calls at an even pace.
postgresql: calls on PostgreSQL, with one engine and with two. asterisk: the whole system with a real Asterisk."""


def main(parts: list[str] = typer.Argument(None, help=HELP)) -> None:  # noqa: B008  typer reads the default
    """Measure what a call costs."""
    if unknown := set(parts or ()) - PARTS.keys():
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}. {HELP}")
    out.print(describe())
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        show_progress(f"This machine is busy with other work (load {load:.1f}): figures will be worse and vary more.")
    if len(CORES) < 2:
        show_progress("This machine has one core only: the server and the load generator compete for it.")
    # What this process does while a server settles its last calls must not take the server's core.
    os.sched_setaffinity(0, {GENERATOR_CORE})
    measured: dict[str, float] = {}
    for name in parts or DEFAULT_PARTS:
        with tempfile.TemporaryDirectory(prefix="rented-numbers-bench-") as directory:
            try:
                measured.update(PARTS[name](Path(directory)) or {})
            except NoCompiler as error:
                raise SystemExit(str(error)) from None
    show_goals(measured, parts or DEFAULT_PARTS, out)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
