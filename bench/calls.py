"""The parts of the bench that play calls against all servers: many at once, one at a time, a slow disk, memory."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.classic_agi import cpu_a_call
from bench.compare import ENGINE, LIMIT, LIMIT_3, OBVIOUS, WARM_UP, Line, Terms, compare, contenders, lateness
from bench.contender import Contender
from bench.generator import Round
from bench.goals import Measured
from bench.native import built
from bench.system import create_system
from bench.workload import Shape
from phones.ports import free_port

out = Console(width=180, highlight=False)
ShowProgress = Callable[[str], None]
CALLS = Terms(5, Round(8_000), {OBVIOUS: 0.15, LIMIT_3: 0.5})
# With a pause of 5 ms, a slow server has done each step before the next one comes.
ONE = Terms(6, Round(400, slots=1, pause_ms=5.0, patient=True), {})
SLOW = Terms(3, Round(6_000), {OBVIOUS: 0.025})
SLOW_SYNC_MS = 5
HELD_FIRST, HELD = 1_000, 10_000
# Without lists of channels: a list of 20,000 would be most of what the engine holds for a moment.
HOUR_SECONDS = 3_600.0
HEADINGS = (
    "calls/s",
    ": obvious",
    "CPU µs",
    "obvious :",
    ": limit",
    "p50 µs",
    ": limit",
    "p99 µs",
    ": limit",
    "p99.9 µs",
    "settled ms",
    "MB",
    "gen. busy",
    "failed",
)
EXPLANATION = """Engine and limit: a call asks once. Obvious design and limit (three requests): as their names say.
calls/s, CPU µs: of a whole call until it is settled, median of the rounds.
: obvious, obvious :, : limit: ratios with the obvious design, and with the limit of the same shape.
p50, p99, p99.9: route, until its last command is answered. settled ms: from the last event to the last call settled.
gen. busy: the generator's share of its core."""


def calls(directory: Path, show_progress: ShowProgress) -> Measured:
    """64 calls at once, and classic AGI one call at a time."""
    with contenders(directory, CALLS.most_calls, {}) as contestants:
        lines = _lines(contestants, CALLS, show_progress)
        late = lateness(contestants[ENGINE], CALLS.round)
    _show("64 at once: whole calls, durable", lines)
    out.print("Engine's event loop late in further rounds, ms: p99 {}, longest {} (of which its own {})".format(*late))
    _classic_agi(directory / "classic")
    engine, obvious, limit = lines[ENGINE], lines[OBVIOUS], lines[LIMIT]
    return {
        "rate_obvious": engine.rate / obvious.rate,
        "economy_obvious": obvious.cpu / engine.cpu,
        "cpu_limit": engine.cpu / limit.cpu,
        "late_ms": late[1],
    }


def _classic_agi(directory: Path) -> None:
    system = create_system(directory, (free_port(), free_port()), "http://127.0.0.1:9/", bookings=100)
    cpu, route = cpu_a_call(
        system.settings.database, system.services, system.bookings, system.token, rounds=3, calls=10
    )
    out.print(f"classic AGI, one Python process for each script: {cpu:.0f} µs of CPU a call, route {route:.0f} µs")


def one(directory: Path, show_progress: ShowProgress) -> Measured:
    """One call at a time."""
    with contenders(directory, ONE.most_calls, {}) as contestants:
        lines = _lines(contestants, ONE, show_progress)
    _show("One caller at a time, at rest between the steps", lines, rates=False)
    engine, limit = lines[ENGINE], lines[LIMIT]
    return {"p50_limit": engine.p50 / limit.p50, "p99_limit": engine.p99 / limit.p99}


def slow(directory: Path, show_progress: ShowProgress) -> Measured:
    """64 calls at once on a disk whose syncs take longer."""
    preload = {"LD_PRELOAD": str(built("slow_sync", directory)), "SLOW_SYNC_MS": str(SLOW_SYNC_MS)}
    with contenders(directory, SLOW.most_calls, preload) as contestants:
        lines = _lines(contestants, SLOW, show_progress)
    _show(f"Each disk sync takes {SLOW_SYNC_MS} ms longer, 64 at once", lines)
    return {"slow_rate_obvious": lines[ENGINE].rate / lines[OBVIOUS].rate}


def memory(directory: Path) -> Measured:
    """The engine's memory for each live call: calls are routed and answered, and do not end."""
    held = Round(HELD_FIRST, steps=2, slots=32)
    with contenders(directory, HELD_FIRST + HELD, {}, reconcile_interval=HOUR_SECONDS) as contestants:
        engine: Contender = contestants[ENGINE]
        before = engine.play(held).memory
        after = engine.play(replace(held, calls=HELD)).memory
    size = (after - before) / HELD
    out.print(f"Memory of the engine for each live call beyond the first thousand: {size:.0f} bytes")
    return {"bytes_live_call": size}


def _lines(contestants: Mapping[str, Contender], terms: Terms, show_progress: ShowProgress) -> dict[str, Line]:
    assert WARM_UP.calls < terms.most_calls
    return {name: Line.of(runs) for name, runs in compare(contestants, terms, show_progress).items()}


def _show(title: str, lines: dict[str, Line], *, rates: bool = True) -> None:
    table = Table(title=title, title_justify="left", caption=EXPLANATION, caption_justify="left", box=SIMPLE)
    table.add_column("", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for line in lines.values():
        limit = lines[LIMIT if line.shape is Shape.ASKS_ONCE else LIMIT_3]
        table.add_row(line.name, *_cells(line, lines[OBVIOUS], limit, rates=rates))
    out.print(table)


def _cells(line: Line, obvious: Line, limit: Line, *, rates: bool) -> list[str]:
    failed = str(line.failed) + (f", {line.unheard} events lost" if line.unheard else "")
    return [
        *([f"{line.rate:.0f}", f"{line.rate / obvious.rate:.1f}"] if rates else ["", ""]),
        f"{line.cpu:.0f}",
        f"{obvious.cpu / line.cpu:.1f}",
        f"{line.cpu / limit.cpu:.2f}",
        f"{line.p50:.0f}",
        f"{line.p50 / limit.p50:.2f}",
        f"{line.p99:.0f}",
        f"{line.p99 / limit.p99:.2f}",
        f"{line.p999:.0f}",
        f"{line.settling:.0f}",
        f"{line.memory / 1e6:.0f}",
        f"{line.busy:.0%}",
        failed,
    ]
