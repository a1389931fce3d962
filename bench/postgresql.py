"""The part of the bench that compares calls on PostgreSQL with calls on SQLite: one engine, two, one busy booking."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil
import psycopg
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.books import PostgresBooks
from bench.compare import BOOKINGS, WARM_UP, enter, silent_receiver
from bench.contender import Contender, Run
from bench.generator import Round
from bench.goals import Measured
from bench.servers import CORES
from bench.system import BenchSystem, create_system
from engine.config import secrets
from engine.config.postgres_address import PostgresAddress
from engine.local.move_database import move_database
from phones.ports import free_port
from tests.postgresql_server import database_named, postgres_server

out = Console(width=140, highlight=False)
# As an operator's server has them, and unlike the servers of the tests.
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "autovacuum=on", "shared_buffers=256MB")
SQLITE, ONE, TWO = "SQLite, one engine", "PostgreSQL, one engine", "PostgreSQL, two engines"
BUSY_SQLITE, BUSY = "SQLite, one booking", "PostgreSQL, one booking"
ROUNDS = 5
# Only what is compared runs at the same time: an engine that only waits would take CPU from those that play. The first
# one of each pair is on SQLite.
PAIRS = ((SQLITE, ONE), (SQLITE, TWO), (BUSY_SQLITE, BUSY))
CALLS = {SQLITE: 4_000, ONE: 2_000, TWO: 2_000, BUSY_SQLITE: 2_000, BUSY: 400}
HEADINGS = (
    "calls/s",
    ": SQLite",
    "engine, CPU µs",
    ": SQLite",
    "server, CPU µs",
    "WAL, bytes",
    "p50 µs",
    "p99 µs",
    "failed",
)
EXPLANATION = """64 calls at once in all; engines, server and generator share the cores.
CPU: of a whole call until it is settled. One booking: all calls are to the same number.
Medians of the rounds; ratios are medians of each round's ratio."""


@dataclass(frozen=True)
class Played:
    """Figures of one round of all engines of a contestant.

    Attributes:
        rate: Whole calls in a second.
        engine: CPU of the engines, microseconds a call.
        server: CPU of the PostgreSQL server, microseconds a call.
        log: What the server wrote into its write-ahead log, bytes a call.
    """

    rate: float
    engine: float
    server: float
    log: float
    p50: float
    p99: float
    failed: int


class PostgresServer:
    """The server: what it has used so far."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._connection = psycopg.connect(address, autocommit=True)
        self._main = psutil.Process(self._connection.info.backend_pid).parents()[0]

    def seconds(self) -> float:
        """CPU seconds of its processes. None of them ends while its engine runs."""
        times = [each.cpu_times() for each in (self._main, *self._main.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def log(self) -> int:
        """Bytes of the write-ahead log."""
        [(length,)] = self._connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchall()
        return int(length)


@dataclass(frozen=True)
class Contestant:
    """Engines on one database.

    Attributes:
        engines: The engines, each with its load generator.
        server: The PostgreSQL server; None: SQLite.
    """

    engines: Sequence[Contender]
    server: PostgresServer | None

    def play(self, calls: int) -> Played:
        """Plays a round in which each engine gets the same part of the calls."""
        round_ = Round(calls // len(self.engines), slots=64 // len(self.engines))
        before = self._used()
        with ThreadPoolExecutor(len(self.engines)) as pool:
            runs = list(pool.map(lambda each: each.play(round_), self.engines))
        played = sum(run.calls for run in runs)
        used = [after - earlier for after, earlier in zip(self._used(), before, strict=True)]
        return Played(
            rate=played / max(run.seconds for run in runs),
            engine=median(run.cpu_a_call for run in runs),
            server=used[0] * 1e6 / played,
            log=used[1] / played,
            p50=_route(runs, "p50"),
            p99=_route(runs, "p99"),
            failed=sum(run.failed for run in runs),
        )

    def _used(self) -> tuple[float, int]:
        """CPU seconds and bytes of the log that the server has used so far."""
        return (0.0, 0) if self.server is None else (self.server.seconds(), self.server.log())


def postgresql(directory: Path, show_progress: Callable[[str], None]) -> Measured:
    """Calls on PostgreSQL, each time side by side with calls on SQLite."""
    os.sched_setaffinity(0, CORES)  # the server inherits it
    with postgres_server(*DURABLE) as address:
        server = PostgresServer(address)
        pairs = [_rounds(directory / f"pair{part}", server, pair, show_progress) for part, pair in enumerate(PAIRS)]
    _show(pairs)
    one = pairs[0]
    return {
        "postgresql_rate": median(each[ONE].rate for each in one),
        "postgresql_rate_sqlite": _ratio(one, ONE, lambda played: played.rate),
        "postgresql_cpu_sqlite": _ratio(one, ONE, lambda played: played.engine),
    }


def _rounds(
    directory: Path, server: PostgresServer, pair: Sequence[str], show_progress: Callable[[str], None]
) -> list[dict[str, Played]]:
    """Plays all rounds of two contestants. Their engines end with them."""
    directory.mkdir()
    with _contestants(directory, server, pair) as contestants:
        for each in contestants.values():
            each.play(WARM_UP.calls)
        rounds = []
        for number in range(ROUNDS):
            rounds.append({name: each.play(CALLS[name]) for name, each in contestants.items()})
            figures = ", ".join(f"{name} {each.rate:.0f}/s {each.engine:.0f} µs" for name, each in rounds[-1].items())
            show_progress(f"round {number + 1} of {ROUNDS}: {figures}")
    return rounds


@contextmanager
def _contestants(directory: Path, server: PostgresServer, pair: Sequence[str]) -> Iterator[dict[str, Contestant]]:
    with ExitStack() as running:
        callback = running.enter_context(silent_receiver())
        found: dict[str, Contestant] = {}
        for name in pair:
            place = directory / str(len(found))
            first = create_system(
                place / "first", _ports(), callback, bookings=BOOKINGS, more={"ami_port": free_port()}
            )
            if name in {BUSY_SQLITE, BUSY}:
                first = replace(first, services=first.services[:1], bookings=first.bookings[:1])
            nodes = [first]
            if name not in {SQLITE, BUSY_SQLITE}:
                nodes = [_moved(first, database_named(server.address, directory.name))]
            if name == TWO:
                nodes.append(_second(nodes[0], place / "second"))
            engines = [_entered(running, directory, name, node, part) for part, node in enumerate(nodes)]
            found[name] = Contestant(engines, None if name in {SQLITE, BUSY_SQLITE} else server)
        yield found


def _ports() -> tuple[int, int]:
    return free_port(), free_port()


def _moved(system: BenchSystem, address: PostgresAddress) -> BenchSystem:
    """The same system after its database was copied to a server."""
    settings = system.settings.model_copy(update={"database_url": str(address)})
    move_database(settings, lambda _: None)
    return replace(system, settings=settings)


def _second(first: BenchSystem, directory: Path) -> BenchSystem:
    """Another engine for another Asterisk, with secrets of its own, on the same database."""
    kept = directory / "secrets"
    secrets.ensure(kept)
    shutil.copy(first.settings.data_dir / "secrets" / "key_pepper", kept)
    http, fastagi = _ports()
    own = {"data_dir": directory, "http_port": http, "fastagi_port": fastagi, "ami_port": free_port()}
    return replace(first, settings=first.settings.model_copy(update=own), token=secrets.load(kept).agi_token)


def _entered(running: ExitStack, directory: Path, name: str, system: BenchSystem, part: int) -> Contender:
    """Starts an engine on any core. Asterisks of one database have calls with ids of their own."""
    calls = WARM_UP.calls + ROUNDS * CALLS[name]
    contender = enter(running, directory, f"{name} {part}", system, calls, asterisk=part, cores=CORES)
    if system.settings.database_url is None:
        return contender
    books = PostgresBooks(PostgresAddress(system.settings.database_url))
    return replace(contender, server=replace(contender.server, books=books))


def _route(runs: Sequence[Run], part: str) -> float:
    return max(run.latency["route"][part] for run in runs)


def _ratio(rounds: Sequence[dict[str, Played]], name: str, of: Callable[[Played], float]) -> float:
    """The median of each round's ratio to SQLite: other load on the machine affects both sides of a round."""
    sqlite = next(iter(rounds[0]))
    return median(of(each[name]) / of(each[sqlite]) for each in rounds)


def _show(pairs: Sequence[Sequence[dict[str, Played]]]) -> None:
    table = Table(
        title="Whole calls, durable", title_justify="left", caption=EXPLANATION, caption_justify="left", box=SIMPLE
    )
    table.add_column("", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for rounds in pairs:
        for name in rounds[0]:
            runs = [each[name] for each in rounds]
            table.add_row(
                name,
                f"{median(run.rate for run in runs):.0f}",
                f"{_ratio(rounds, name, lambda run: run.rate):.2f}",
                f"{median(run.engine for run in runs):.0f}",
                f"{_ratio(rounds, name, lambda run: run.engine):.2f}",
                f"{median(run.server for run in runs):.0f}",
                f"{median(run.log for run in runs):.0f}",
                f"{median(run.p50 for run in runs):.0f}",
                f"{median(run.p99 for run in runs):.0f}",
                str(sum(run.failed for run in runs)),
            )
        table.add_section()
    out.print(table)
