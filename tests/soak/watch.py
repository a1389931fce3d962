"""Takes samples during a soak test: of the process from outside, its own diagnostics, its files and its rows."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Server
from bench.system import BenchSystem
from engine.control.diagnostics import ask_diagnostics

# The ledger needs these rows for ever: one for each booking, and one for each granted plan.
KEPT_FOR_EVER = {"bookings": ("booked",), "grants": ("booked", "renewed")}
# Counts that should be zero or small, whatever the sizes of the tables.
PARTS = {
    "calls up": "SELECT COUNT(*) FROM calls WHERE ended_at IS NULL",
    "callbacks pending": "SELECT COUNT(*) FROM outbox WHERE state = 'PENDING'",
    "bookings not gone": "SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL",
    "bookings gone, not forgotten": "SELECT COUNT(*) FROM bookings WHERE gone_at IS NOT NULL AND forgotten = 0",
    "numbers at rest": "SELECT COUNT(*) FROM numbers WHERE state = 'QUARANTINED'",
}


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        at: Monotonic seconds.
        values: The watched figures by name.
        tasks: The most frequent tasks, by what they run.
    """

    at: float
    values: Mapping[str, float]
    tasks: Mapping[str, int] = field(default_factory=dict)


async def look(server: Server, system: BenchSystem, done: Mapping[str, int], *, at_rest: bool = False) -> Sample:
    """Takes a sample. `done` counts the bookings made and renewed so far. Raises EngineSilent."""
    return await asyncio.to_thread(_look, server, system, dict(done), at_rest)


def _look(server: Server, system: BenchSystem, done: Mapping[str, int], at_rest: bool) -> Sample:
    diagnostics = ask_diagnostics(system.settings.data_dir, collected=at_rest)
    if diagnostics is None:
        raise RuntimeError("the engine has ended")
    with server.process.oneshot():
        values: dict[str, float] = {
            "resident bytes": server.process.memory_info().rss,
            "pieces of memory": diagnostics.memory_blocks,
            "tasks": diagnostics.tasks,
            "threads": server.process.num_threads(),
            "open files and sockets": server.process.num_fds(),
        }
    values |= _sizes(system.settings.database) | _rows(system.settings.database, done)
    return Sample(time.monotonic(), values, diagnostics.commonest)


def _sizes(database: Path) -> dict[str, float]:
    wal = database.with_name(f"{database.name}-wal")
    return {"bytes of WAL": wal.stat().st_size if wal.exists() else 0, "bytes of database": database.stat().st_size}


def _rows(database: Path, done: Mapping[str, int]) -> dict[str, float]:
    """Counts the rows of every table, so that new tables are watched as well."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in tables}  # noqa: S608  its own names
        parts = {name: db.execute(sql).fetchone()[0] for name, sql in PARTS.items()}
    for table, causes in KEPT_FOR_EVER.items():
        counts[table] -= sum(done.get(cause, 0) for cause in causes)
    return {_named(table): count for table, count in counts.items()} | parts


def _named(table: str) -> str:
    return f"rows of {table}" + (", less what was made" if table in KEPT_FOR_EVER else "")
