"""The goals, and what was measured: the small table at the end of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

# Measured figures by the names of the goals below.
Measured = Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """A bound that a figure should keep.

    Attributes:
        name: The figure's key.
        part: The part of the bench that measures it.
        text: What it is, for readers.
        bound: The bound.
        at_least: Whether the figure should be at least the bound; otherwise at most.
    """

    name: str
    part: str
    text: str
    bound: float
    at_least: bool = False

    def reached(self, figure: float) -> bool:
        return figure >= self.bound if self.at_least else figure <= self.bound


GOALS = (
    Goal("rate_obvious", "calls", "64 at once: calls/s, times those of the obvious design", 10, at_least=True),
    Goal("economy_obvious", "calls", "64 at once: CPU of the obvious design, times the engine's", 10, at_least=True),
    Goal("cpu_limit", "calls", "64 at once: CPU, times that of the limit in the same shape", 3.5),
    Goal("late_ms", "calls", "64 at once: longest pause of the event loop, ms", 10),
    Goal("p50_limit", "one", "one caller: route p50, times the limit's", 1.5),
    Goal("p99_limit", "one", "one caller: route p99, times the limit's", 2),
    Goal(
        "slow_rate_obvious", "slow", "syncs 5 ms longer: calls/s, times those of the obvious design", 20, at_least=True
    ),
    Goal("bytes_live_call", "memory", "memory of a live call, bytes", 1024),
    Goal("million_rate", "million", "a million bookings: calls/s, part of those with few", 0.8, at_least=True),
    Goal("postgresql_rate", "postgresql", "PostgreSQL, 64 at once: calls/s", 700, at_least=True),
    Goal("postgresql_rate_sqlite", "postgresql", "PostgreSQL: calls/s, part of those with SQLite", 0.35, at_least=True),
    Goal("postgresql_cpu_sqlite", "postgresql", "PostgreSQL: the engine's CPU, times that with SQLite", 1.5),
    Goal("asterisk_added_ms_20", "asterisk", "20 calls/s: CPU that Asterisk needs more than for a plain Dial, ms", 1.5),
    Goal("asterisk_added_ms_50", "asterisk", "50 calls/s: the same", 1.5),
    Goal("engine_ms_20", "asterisk", "20 calls/s: CPU of the engine, ms a call", 1.5),
    Goal("engine_ms_50", "asterisk", "50 calls/s: the same", 1.5),
    Goal("delay_added_ms_20", "asterisk", "20 calls/s: INVITE to 180 p50, ms more than by a plain Dial", 3),
    Goal("delay_added_ms_50", "asterisk", "50 calls/s: the same", 3),
    Goal(
        "carried_former", "asterisk", "calls/s on one core with Asterisk, times the former design's", 1.4, at_least=True
    ),
)


def show_goals(measured: Measured, parts: list[str], out: Console) -> None:
    """Shows the goals of the parts that ran."""
    table = Table("goal", title="Goals", title_justify="left")
    for heading in ("wanted", "measured", ""):
        table.add_column(heading, justify="right")
    for goal in GOALS:
        if goal.part not in parts:
            continue
        figure = measured.get(goal.name)
        wanted = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}"
        if figure is None:
            table.add_row(goal.text, wanted, "", "not measured")
        else:
            table.add_row(goal.text, wanted, f"{figure:.3g}", "reached" if goal.reached(figure) else "not reached")
    if table.row_count:
        out.print(table)
