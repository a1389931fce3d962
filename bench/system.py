"""Creates a data directory as an operator has it, with a given number of bookings and call records."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import history
from bench.history import History
from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key
from engine.bookings import lifecycle
from engine.bookings.lifecycle import BookingRequest
from engine.bookings.number_pool import import_numbers
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.tuning import TUNING_VARIABLE, Tuning
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.runtime.clock import SystemClock
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage

HIDDEN = E164("+33199111111")
DIALLED = 20_000


@dataclass(frozen=True)
class BenchSystem:
    """A data directory, and what a load generator needs of it.

    Attributes:
        token: The token that authenticates AGI requests.
        key: The account's API key.
        services: Service numbers (E.164) in random order. With many bookings: a sample of about `DIALLED`.
        bookings: The ids of their bookings, in the same order.
    """

    settings: Settings
    token: str
    key: str
    services: list[str]
    bookings: list[str]


def create_system(
    directory: Path,
    ports: tuple[int, int],
    callback: str,
    *,
    bookings: int,
    calls_each: int = 0,
    free: int = 0,
    more: Mapping[str, object] | None = None,
) -> BenchSystem:
    """Creates the data directory.

    Args:
        directory: Where.
        ports: HTTP port and FastAGI port.
        callback: The callback URL of all bookings.
        bookings: How many bookings there are.
        calls_each: Past calls of each booking, an even number.
        free: Free numbers in the pool, in addition to the booked ones.
        more: Further settings.
    """
    settings = settings_of(directory, ports, more or {})
    directory.mkdir(parents=True, exist_ok=True)
    secrets.ensure(directory / "secrets")
    migrate(settings.database)
    kept = secrets.load(directory / "secrets")
    key = asyncio.run(_first_booking(settings, kept.key_pepper, callback))
    with closing(sqlite3.connect(settings.database)) as db:
        db.row_factory = sqlite3.Row
        history.write(db, History(bookings, calls_each, SystemClock().now()))
        _add_numbers(db, free)
        every = max(1, bookings // DIALLED)
        rows = db.execute("SELECT id, service FROM bookings WHERE rowid % ? = 0", (every,)).fetchall()
    random.Random(0).shuffle(rows)
    return BenchSystem(settings, kept.agi_token, key, [row["service"] for row in rows], [row["id"] for row in rows])


def settings_of(directory: Path, ports: tuple[int, int], more: Mapping[str, object]) -> Settings:
    """Settings with so much credit and such high limits that no round reaches them."""
    http, fastagi = ports
    chosen: dict[str, Any] = {
        "data_dir": directory,
        "http_port": http,
        "fastagi_port": fastagi,
        "metrics_address": "",
        "callback_hosts_private": True,
        "max_bookings_per_account": 10_000_000,
        "new_bookings_a_day": 10_000_000,
        "max_concurrent_calls": 1000,
        "max_ringing_calls_per_caller": 1000,
        "calls_at_once": 1_000_000,
        "requests_per_minute": 1_000_000,
        "plans": {"large": {"seconds": 1_000_000_000, "calls": 100_000_000}},
        **more,
    }
    tuning = {name: chosen.pop(name) for name in Tuning.model_fields if name in chosen}
    return tuned(Settings(**chosen), Tuning(**tuning))


def tuned(settings: Settings, tuning: Tuning) -> Settings:
    """The same settings with figures that only the environment of a process can change otherwise."""
    settings._tuning = tuning  # noqa: SLF001  the product has no use for this
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The same settings as environment variables, for a process of its own."""
    chosen = settings.model_dump(mode="json", exclude_unset=True)
    return {
        f"RENTED_NUMBERS_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in chosen.items()
    } | {TUNING_VARIABLE: settings.tuning.model_dump_json()}


async def _first_booking(settings: Settings, pepper: str, callback: str) -> str:
    """Books through the product's own commands; `history` copies this booking. Returns the account's API key."""
    storage, now = SqliteStorage(settings.database), SystemClock().now()
    try:
        account = await storage.run(create_account, "bench", now)
        await storage.run(import_numbers, [(1, "+3225000000")], now)
        request = BookingRequest(account.id, HIDDEN, UsagePlan.LARGE, callback)
        await storage.run(lifecycle.book, request, now, policy_of(settings))
        return (await storage.run(create_key, account.id, pepper, now)).secret
    finally:
        await storage.close()


def _add_numbers(db: sqlite3.Connection, free: int) -> None:
    numbers = [(f"+32{60_000_000 + each}",) for each in range(free)]
    db.executemany("INSERT INTO numbers (e164, state, idle_since) VALUES (?, 'FREE', 0)", numbers)
    db.commit()
