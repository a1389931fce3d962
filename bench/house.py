"""A data directory as an operator has it, with as many bookings and call records in it as are wanted."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uuid_utils

from engine import bookings, secrets
from engine.accounts import create_account, create_key, import_numbers
from engine.bookings import BookingRequest
from engine.clock import SystemClock
from engine.domain.plans import UsagePlan
from engine.settings import Settings
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage

HIDDEN = "+33199111111"
ROWS_AT_ONCE = 10_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class House:
    """`services` and `bookings`: numbers and ids, in the same order; the first of them if there are many."""

    settings: Settings
    token: str
    key: str
    services: list[str]
    bookings: list[str]


def furnish(
    directory: Path, ports: tuple[int, int], callback: str, *, held: int, records: int = 0, free: int = 0
) -> House:
    """`held`: bookings. `records`: call records, of those bookings. `free`: numbers beside theirs."""
    settings = settings_of(directory, ports)
    directory.mkdir(parents=True, exist_ok=True)
    secrets.ensure(directory / "secrets")
    migrate(settings.database)
    kept = secrets.load(directory / "secrets")
    key = asyncio.run(_first_booking(settings, kept.key_pepper, callback))
    with sqlite3.connect(settings.database) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = OFF")
        _copy_bookings(db, held)
        _write_records(db, records)
        _add_numbers(db, free)
        db.commit()
        rows = db.execute("SELECT id, service FROM bookings ORDER BY id LIMIT 20000").fetchall()
    return House(settings, kept.agi_token, key, [row["service"] for row in rows], [row["id"] for row in rows])


def settings_of(directory: Path, ports: tuple[int, int]) -> Settings:
    """Credit is ample, so that no round runs out of it."""
    http, fastagi = ports
    return Settings(
        data_dir=directory,
        http_port=http,
        fastagi_port=fastagi,
        callback_hosts_private=True,
        max_bookings_per_account=10_000_000,
        max_concurrent_calls=1000,
        requests_per_minute=1_000_000,
        plans={"large": {"seconds": 1_000_000_000, "calls": 100_000_000}},
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The same for a process of its own."""
    chosen = settings.model_dump(mode="json", exclude_unset=True)
    return {
        f"RENTED_NUMBERS_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in chosen.items()
    }


async def _first_booking(settings: Settings, pepper: str, callback: str) -> str:
    """By the use cases, for the others to be copied from. The account's key."""
    storage, now = SqliteStorage(settings.database), SystemClock().now()
    try:
        account = await storage.run(create_account, "bench", now)
        await storage.run(import_numbers, [(1, "+3225000000")], now)
        request = BookingRequest(account.id, HIDDEN, UsagePlan.LARGE, callback)
        await storage.run(bookings.book, request, now, settings.policy())
        return (await storage.run(create_key, account.id, pepper, now)).secret
    finally:
        await storage.close()


def _copy_bookings(db: sqlite3.Connection, held: int) -> None:
    booking, number, grant = (
        dict(db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone())  # noqa: S608  names from this line
        for table in ("bookings", "numbers", "grants")
    )
    for start in range(1, held, ROWS_AT_ONCE):
        several = [(_id("bkg"), f"+32{25_000_000 + each}") for each in range(start, min(held, start + ROWS_AT_ONCE))]
        _insert(db, "numbers", [number | {"e164": service} for _, service in several])
        _insert(db, "bookings", [booking | {"id": each, "service": service} for each, service in several])
        _insert(db, "grants", [grant | {"id": _id("grt"), "booking_id": each} for each, _ in several])


def _add_numbers(db: sqlite3.Connection, free: int) -> None:
    if free:
        number = dict(db.execute("SELECT * FROM numbers LIMIT 1").fetchone()) | {"state": "FREE"}
        _insert(db, "numbers", [number | {"e164": f"+32{60_000_000 + each}"} for each in range(free)])


def _write_records(db: sqlite3.Connection, records: int) -> None:
    """Settled calls of bookings in turn, over the last half year."""
    if not records:
        return
    held = [dict(row) for row in db.execute("SELECT id, account_id, service FROM bookings LIMIT 100000")]
    now = SystemClock().now()
    for start in range(0, records, ROWS_AT_ONCE):
        rows = list(_records(held, range(start, min(records, start + ROWS_AT_ONCE)), now - 170 * DAY_MS, records))
        _insert(db, "cdrs", rows)
    db.execute("ANALYZE")


def _records(held: list[dict[str, Any]], numbers: range, since: int, of: int) -> Iterator[dict[str, Any]]:
    for number in numbers:
        booking, at = held[number % len(held)], since + number * 160 * DAY_MS // of
        yield {
            "id": f"cdr_{at:012x}7{number:019x}",  # in the order of time, as those that are made one by one
            "account_id": booking["account_id"],
            "booking_id": booking["id"],
            "call_id": f"rn0-{at // 1000}.{number:012}",
            "started_at": at,
            "duration": 0,
            "source": f"+1415{number % 10_000_000:07}",
            "service": booking["service"],
            "destination": HIDDEN,
            "disposition": "NO_ANSWER",
        }


def _insert(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = ", ".join(rows[0])
    places = ", ".join(f":{name}" for name in rows[0])
    db.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)  # noqa: S608  names from the schema


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid_utils.uuid7().hex}"
