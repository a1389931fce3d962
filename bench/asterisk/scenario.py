"""`make bench BENCH=asterisk`: what the engine adds to a plain Dial of the same Asterisk.

It also measures what happens to three times the calls that the system carries.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.asterisk.figures import PATIENT_MS, Way, carried
from bench.asterisk.full_system import full_system
from bench.asterisk.overload import Overload, overload
from bench.asterisk.traffic import Round, Telephones

RATES = (20, 50, 100)
ROUNDS = 3
ROUND_SECONDS = 10
WARM_UP = 40
# The rates that are tried, in order, until one fails twice.
LADDER = (10, 20, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400)
TRY_SECONDS = 5
TIMES_TOO_MANY = 3
# So high that it has no effect.
UNLIMITED = 100_000
out = Console(width=120, highlight=False)
ShowProgress = Callable[[str], None]


def asterisk(directory: Path, show_progress: ShowProgress) -> None:
    """Compares calls through the engine with a plain Dial, then makes too many calls."""
    with _telephones(directory / "compared") as telephones:
        plain_most = _most(telephones, show_progress, plain=True)
        engine_most = _most(telephones, show_progress, plain=False)
        out.print(
            f"Carried on one core (every call put through, 99 of 100 ring within {PATIENT_MS} ms): "
            f"{plain_most} calls/s by a plain Dial, {engine_most} through the engine"
        )
        _show(
            [
                (rate, *_side_by_side(telephones, rate, show_progress))
                for rate in RATES
                if rate <= max(plain_most, RATES[0])
            ]
        )
    too_many = TIMES_TOO_MANY * max(engine_most, LADDER[0])
    runs = {
        "default": overload(directory / "limited", too_many),
        "without this limit": overload(directory / "unlimited", too_many, max_undecided_calls=UNLIMITED),
    }
    _show_overload(too_many, runs)


@contextmanager
def _telephones(directory: Path) -> Iterator[Telephones]:
    directory.mkdir()
    with full_system(directory) as place:
        telephones = Telephones(place, directory)
        with telephones.answering():
            for plain in (True, False):
                telephones.play(WARM_UP, LADDER[0], plain=plain)
            yield telephones


def _most(telephones: Telephones, show_progress: ShowProgress, *, plain: bool) -> int:
    """The highest rate of the ladder that is carried, as all lower ones are; 0 if none is."""
    most = 0
    for rate in LADDER:
        if not any(carried(telephones.play(rate * TRY_SECONDS, rate, plain=plain)) for _ in range(2)):
            break
        most = rate
        show_progress(f"{'a plain Dial' if plain else 'the engine'} carries {rate} calls/s")
    return most


def _side_by_side(telephones: Telephones, rate: int, show_progress: ShowProgress) -> tuple[Way, Way]:
    """Figures of a plain Dial and of the engine at the same rate."""
    rounds: dict[bool, list[Round]] = {True: [], False: []}
    for number in range(ROUNDS):
        for plain in random.sample((True, False), 2):
            rounds[plain].append(telephones.play(rate * ROUND_SECONDS, rate, plain=plain))
        show_progress(f"{rate} calls/s: round {number + 1} of {ROUNDS}")
    return Way.of(rounds[True]), Way.of(rounds[False])


def _show(rows: list[tuple[int, Way, Way]]) -> None:
    table = Table(
        "calls/s", "", title="A call through the engine and by a plain Dial, same Asterisk", title_justify="left"
    )
    for heading in ("INVITE to 180 p50 ms", "p99", "Asterisk CPU ms a call", "engine", ": Asterisk", "calls", "failed"):
        table.add_column(heading, justify="right")
    for rate, plain, engine in rows:
        table.add_row(str(rate), "plain Dial", *_cells(plain, ["", ""]))
        share = [f"{engine.engine:.2f}", f"{engine.engine / engine.asterisk:.0%}"]
        table.add_row("", "engine", *_cells(engine, share))
        p50, p99 = engine.ringing_p50 - plain.ringing_p50, engine.ringing_p99 - plain.ringing_p99
        table.add_row(
            "", "added", f"{p50:.1f}", f"{p99:.1f}", f"{engine.asterisk - plain.asterisk:.1f}", end_section=True
        )
    out.print(table)


def _cells(way: Way, share: list[str]) -> list[str]:
    times = [f"{way.ringing_p50:.1f}", f"{way.ringing_p99:.1f}"]
    return [*times, f"{way.asterisk:.1f}", *share, str(way.calls), str(way.failed)]


def _show_overload(rate: int, runs: dict[str, Overload]) -> None:
    title = f"{rate} calls/s, {TIMES_TOO_MANY} times what the engine carries"
    table = Table("limit on undecided calls", title=title, title_justify="left")
    for heading in (
        *(
            "calls",
            "503",
            "after p50 ms",
            "p99",
            "admitted",
            "ring after p50 ms",
            "p99",
            "ended",
            "recorded",
            "neither",
        ),
        "ledger",
    ):
        table.add_column(heading, justify="right")
    for name, run in runs.items():
        table.add_row(name, *run.cells())
    out.print(table)
