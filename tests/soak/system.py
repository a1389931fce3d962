"""Creates a data directory as after a day of the soak test's own load, so that rows are deleted as fast as added.

So no table with a retention time should grow, even if its rows are kept for longer than the test lasts. The directory
holds an hour's call records (the shortest retention) and a day's stored idempotent answers.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.system import HIDDEN, BenchSystem, tuned
from engine.accounts.accounts import create_account
from engine.accounts.idempotency import KEPT_MS
from engine.accounts.keys import create_key
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.bookings.number_pool import import_numbers
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.tuning import Tuning
from engine.config.types import PlanSettings, PlansSettings
from engine.domain.booking import Booking
from engine.domain.policy import UsagePlan
from engine.runtime.clock import SystemClock
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.soak.plan import KINDS, Wanted

NUMBERS = 400
RECORDS_KEPT = timedelta(hours=1)
# One of five rounds of API requests sends an idempotency key, so that its answer is stored.
KEYED_OF_ROUNDS = 5


def create_soak_system(directory: Path, wanted: Wanted, ports: tuple[int, int], ami_port: int) -> BenchSystem:
    settings = settings_of(directory, wanted, ports, ami_port)
    directory.mkdir(parents=True, exist_ok=True)
    secrets.ensure(directory / "secrets")
    migrate(settings.database)
    kept = secrets.load(directory / "secrets")
    key, booking = asyncio.run(_begun(settings, kept.key_pepper))
    now = SystemClock().now()
    with sqlite3.connect(settings.database) as db:
        db.execute("PRAGMA synchronous = OFF")
        _insert(db, "calls", _old_calls(booking, wanted, now))
        _insert(db, "cdrs", _old_records(booking, wanted, now))
        _insert(db, "kept_answers", _old_answers(booking, wanted, now))
    db.close()
    return BenchSystem(settings, kept.agi_token, key, [booking.service], [booking.id])


def settings_of(directory: Path, wanted: Wanted, ports: tuple[int, int], ami_port: int) -> Settings:
    """Production settings with the shortest lifetimes, and with callbacks to this machine allowed."""
    life = timedelta(seconds=wanted.life)
    http, fastagi = ports
    settings = Settings(
        data_dir=directory,
        http_port=http,
        fastagi_port=fastagi,
        metrics_address="",
        ami_port=ami_port,
        manage_asterisk=False,
        callback_hosts_private=True,
        requests_per_minute=100_000,
        max_bookings_per_account=1_000_000,
        new_bookings_a_day=1_000_000,
        calls_at_once=1_000_000,
        grace=life,
        quarantine=life,
        quarantine_silence=life,
        callback_retention=life,
        cdr_retention=RECORDS_KEPT,
        expiring_soon=life / 2,
        plans=PlansSettings(
            small=PlanSettings(seconds=600, calls=25, valid_for=life),
            large=PlanSettings(seconds=10**8, calls=10**6, valid_for=timedelta(days=90)),
        ),
    )
    tuning = Tuning(callback_retries=(1.0, 1.0, 1.0), expired_callbacks_window=wanted.life, sweep_interval=wanted.sweep)
    return tuned(settings, tuning)


async def _begun(settings: Settings, pepper: str) -> tuple[str, Booking]:
    """Creates the account and a booking. Returns the account's key, and the booking that all old calls belong to."""
    storage, now = SqliteStorage(settings.database), SystemClock().now()
    try:
        account = await storage.run(create_account, "soak", now)
        numbers = [(line, f"+32{25_000_000 + line}") for line in range(1, NUMBERS + 1)]
        await storage.run(import_numbers, numbers, now)
        request = BookingRequest(account.id, HIDDEN, UsagePlan.LARGE, "http://127.0.0.1:9/")
        booking = await storage.run(bookings.book, request, now, policy_of(settings))
        return (await storage.run(create_key, account.id, pepper, now)).secret, booking
    finally:
        await storage.close()


def _instants(rate: float, now: int, kept_ms: int) -> Iterator[tuple[int, int]]:
    """Yields (number, epoch milliseconds) for everything that came at this rate and is still kept, oldest first."""
    count = int(rate * kept_ms / 1000)
    return ((number, now - kept_ms + number * kept_ms // count) for number in range(count))


def _old_calls(booking: Booking, wanted: Wanted, now: int) -> Iterator[dict[str, Any]]:
    """Unanswered calls, which cost nothing."""
    for number, at in _instants(wanted.rate, now, RECORDS_KEPT // timedelta(milliseconds=1)):
        if KINDS[number % len(KINDS)].let_through:
            yield {
                "call_id": f"old-{number}",
                "booking_id": booking.id,
                "state": "VOIDED",
                "source": f"+1415{number % 10_000_000:07}",
                "destination": HIDDEN,
                "seconds_leased": 60,
                "seconds_charged": 0,
                "started_at": at,
                "ended_at": at,
                "started_ticks": 0,
            }


def _old_records(booking: Booking, wanted: Wanted, now: int) -> Iterator[dict[str, Any]]:
    for number, at in _instants(wanted.rate, now, RECORDS_KEPT // timedelta(milliseconds=1)):
        if KINDS[number % len(KINDS)].recorded:
            yield {
                "id": f"cdr_{at:012x}7{number:019x}",  # in the order of time, as real ids are
                "account_id": booking.account_id,
                "booking_id": booking.id,
                "call_id": f"old-{number}",
                "started_at": at,
                "duration": 0,
                "source": f"+1415{number % 10_000_000:07}",
                "service": booking.service,
                "destination": HIDDEN,
                "disposition": "NO_ANSWER",
            }


def _old_answers(booking: Booking, wanted: Wanted, now: int) -> Iterator[dict[str, Any]]:
    for number, at in _instants(wanted.requests / KEYED_OF_ROUNDS, now, KEPT_MS):
        yield {
            "account_id": booking.account_id,
            "idempotency_key": f"old-{number}",
            "fingerprint": f"{number:064x}",
            "status": 201,
            "body": "{}",
            "kept_at": at,
        }


def _insert(db: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows, None)
    if first is None:
        return
    names = ", ".join(first)
    into = f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in first)})"  # noqa: S608  names from above
    db.execute(into, first)
    db.executemany(into, rows)
