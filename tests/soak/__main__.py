"""Runs the soak test. Exit status 0 if nothing grew and nothing failed, else 1."""

import argparse
import sys
import time
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from tests.soak.judge import BOUNDS, ROWS
from tests.soak.plan import Wanted
from tests.soak.run import Report, run

SAMPLES = 240
LONGEST_LIFE = 60


def main() -> int:
    began = time.monotonic()

    def show_progress(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {line}\n")

    report = run(_wanted(), show_progress)
    show(report)
    for failure in report.failures:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"{len(report.failures)} findings\n" if report.failures else "Nothing grew, nothing failed.\n")
    return 1 if report.failures else 0


def show(report: Report) -> None:
    table = Table(title=f"{report.calls:,} calls, {len(report.samples)} samples", title_justify="left")
    for heading in ("", "start", "end", "highest", "an hour", "growth", "limit", "at rest before", "after"):
        table.add_column(heading, justify="left" if not heading else "right")
    for each in report.trends:
        most = BOUNDS.get(each.name, ROWS).under_load(report.calls)
        figures = (each.start, each.end, each.highest, each.an_hour, each.growth, most, *each.rest)
        table.add_row(each.name, *(f"{figure:,.0f}" for figure in figures))
    out = Console(width=140, highlight=False)
    out.print(table)
    out.print(", ".join(f"{name} {count:,}" for name, count in sorted(report.counts.items())))
    out.print("tasks at rest: " + ", ".join(f"{name} {count}" for name, count in report.tasks.items()))


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Make calls for a long time; find what grows."
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=5, help="calls a second")
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    life = max(1, min(LONGEST_LIFE, int(seconds / 60)))
    wanted = Wanted(
        rate=chosen.rate,
        requests=1,
        warm_up=2 * life,
        watched=0,
        talk=min(10.0, seconds / 60),
        life=life,
        sample_every=max(0.5, seconds / SAMPLES),
        sweep=min(10, life),
    )
    return replace(wanted, watched=seconds - wanted.warm_up - wanted.settle)


if __name__ == "__main__":
    sys.exit(main())
