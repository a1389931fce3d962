"""`make bench BENCH=asterisk`: what the engine and the former design add to a plain Dial of the same Asterisk.

It also measures what happens to three times the calls that the system carries.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.asterisk.figures import PATIENT_MS, Way, carried, percentile
from bench.asterisk.former import NoFormerDesign, former_system
from bench.asterisk.full_system import Place, full_system
from bench.asterisk.overload import Overload, overload
from bench.asterisk.session_rate import SESSIONS, Trial, session_rate
from bench.asterisk.traffic import RINGING, Round, Telephones
from bench.goals import Measured

RATES = (20, 50, 100)
ROUNDS = 3
ROUND_SECONDS = 10
WARM_UP, WARM_UP_RATE = 40, 10
TIMES_TOO_MANY = 3
# So high that it has no effect.
UNLIMITED = 100_000
out = Console(width=140, highlight=False)
ShowProgress = Callable[[str], None]


class Kind(StrEnum):
    """The ways of a call through Asterisk."""

    PLAIN = "plain Dial"
    ENGINE = "engine"
    FORMER = "former design"


# Where calls of each way are made.
Ways = dict[Kind, Telephones]


def asterisk(directory: Path, show_progress: ShowProgress) -> Measured:
    """Compares calls through the engine with a plain Dial, then makes too many calls."""
    with _telephones(directory, show_progress) as ways:
        most = {way: _most(ways, way, show_progress) for way in ways}
        table = {
            rate: _side_by_side(ways, rate, show_progress) for rate in RATES if rate <= max(most[Kind.PLAIN], RATES[0])
        }
    _show(table)
    too_many = TIMES_TOO_MANY * max(most[Kind.ENGINE], WARM_UP_RATE)
    runs = {
        "default": overload(directory / "limited", too_many),
        "without this limit": overload(directory / "unlimited", too_many, max_undecided_calls=UNLIMITED),
    }
    _show_overload(too_many, runs)
    return _measured(most, table)


def _measured(most: dict[Kind, int], table: dict[int, dict[Kind, Way]]) -> Measured:
    figures: dict[str, float] = {}
    if most.get(Kind.FORMER):
        figures["carried_former"] = most[Kind.ENGINE] / most[Kind.FORMER]
    for rate, row in table.items():
        plain, engine = row[Kind.PLAIN], row[Kind.ENGINE]
        figures[f"asterisk_added_ms_{rate}"] = engine.asterisk - plain.asterisk
        figures[f"engine_ms_{rate}"] = engine.engine
        figures[f"delay_added_ms_{rate}"] = engine.ringing_p50 - plain.ringing_p50
    return figures


@contextmanager
def _telephones(directory: Path, show_progress: ShowProgress) -> Iterator[Ways]:
    """Starts the systems, one beside the other; the one that is not measured is idle."""
    ways: Ways = {}
    with ExitStack() as running:
        (directory / "compared").mkdir()
        system = running.enter_context(full_system(directory / "compared")).place
        ways[Kind.PLAIN] = ways[Kind.ENGINE] = _answering(running, system, directory / "compared")
        try:
            former = running.enter_context(former_system(directory))
            ways[Kind.FORMER] = _answering(running, former, directory / "former")
        except NoFormerDesign:
            show_progress("without the former design: its commit is not in this repository")
        for way in ways:
            _play(ways, way, WARM_UP, WARM_UP_RATE)
        yield ways


def _answering(running: ExitStack, place: Place, directory: Path) -> Telephones:
    telephones = Telephones(place, directory)
    running.enter_context(telephones.answering())
    return telephones


def _play(ways: Ways, way: Kind, calls: int, rate: int) -> Round:
    return ways[way].play(calls, rate, plain=way is Kind.PLAIN)


def _most(ways: Ways, way: Kind, show_progress: ShowProgress) -> int:
    """The highest rate that is carried, with all trials of the search."""

    def attempt(rate: int, sessions: int) -> Trial:
        round_ = _play(ways, way, sessions, rate)
        failed, late = round_.calls - round_.cleared, percentile(round_.times[RINGING], 99)
        text = f"{rate}/s: {failed} failed, p99 {late:.0f} ms"
        show_progress(f"{way}: {text}")
        return Trial(rate, carried(round_), text)

    most, trials = session_rate(attempt)
    out.print(
        f"{way} carries {most} calls/s on one core (all of {SESSIONS} sessions succeed, 99 of 100 ring within "
        f"{PATIENT_MS} ms). Trials: {'; '.join(('' if each.succeeded else '✗ ') + each.text for each in trials)}"
    )
    return most


def _side_by_side(ways: Ways, rate: int, show_progress: ShowProgress) -> dict[Kind, Way]:
    """Figures of all ways at the same rate."""
    rounds: dict[Kind, list[Round]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way in random.sample(list(ways), len(ways)):
            rounds[way].append(_play(ways, way, rate * ROUND_SECONDS, rate))
        show_progress(f"{rate} calls/s: round {number + 1} of {ROUNDS}")
    return {way: Way.of(each) for way, each in rounds.items()}


def _show(rows: dict[int, dict[Kind, Way]]) -> None:
    table = Table("calls/s", "", title="A call on three ways, same Asterisk, same core", title_justify="left")
    for heading in (
        "INVITE to 180 p50 ms",
        "p99",
        "INVITE to 200 p50 ms",
        "Asterisk CPU ms a call",
        "added",
        "engine",
        "calls",
        "failed",
    ):
        table.add_column(heading, justify="right")
    for rate, row in rows.items():
        plain = row[Kind.PLAIN]
        for way, figures in row.items():
            table.add_row(str(rate), way, *_cells(figures, None if figures is plain else plain))
        table.add_section()
    out.print(table)


def _cells(way: Way, plain: Way | None) -> list[str]:
    """The cells of a row; `plain` is the plain Dial that it is compared with."""
    return [
        f"{way.ringing_p50:.1f}" + ("" if plain is None else f" (+{way.ringing_p50 - plain.ringing_p50:.1f})"),
        f"{way.ringing_p99:.1f}",
        f"{way.answered_p50:.1f}" + ("" if plain is None else f" (+{way.answered_p50 - plain.answered_p50:.1f})"),
        f"{way.asterisk:.2f}",
        "" if plain is None else f"{way.asterisk - plain.asterisk:.2f}",
        "" if plain is None else f"{way.engine:.2f}",
        str(way.calls),
        str(way.failed),
    ]


def _show_overload(rate: int, runs: dict[str, Overload]) -> None:
    title = f"{rate} calls/s, {TIMES_TOO_MANY} times what the engine carries"
    table = Table("limit on undecided calls", title=title, title_justify="left")
    for heading in (
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
        "ledger",
    ):
        table.add_column(heading, justify="right")
    for name, run in runs.items():
        table.add_row(name, *run.cells())
    out.print(table)
