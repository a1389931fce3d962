"""Looks at each part of a system, running or not, and says what is wrong and what to do. Changes nothing."""

import asyncio
import json
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from engine.asterisk.config_files import find_program, reachable
from engine.cdr.ledger import Audited, audit_page
from engine.config import secrets
from engine.config.settings import Settings
from engine.config.sources import active_test_switches
from engine.config.types import Profile
from engine.domain.errors import RentedNumbersError
from engine.domain.times import DAY_MS, EpochMs
from engine.local.data_dir import make_data_dir, require_database
from engine.local.ports import refuse_taken_ports
from engine.runtime import lock
from engine.runtime.clock import SystemClock
from engine.storage.migrate import newest_revision, revision_of
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage

HEALTH_SECONDS = 4.0
WRITE_SECONDS = 3.0
# Large databases are looked through for so long, and no further.
SEARCH_SECONDS = 5.0
LOW_DISK, NO_DISK = 1 << 30, 64 << 20
FEW_NUMBERS = 0.05
# A callback that is due and not tried for so long waits for an engine that does not deliver.
LATE_MS = 60_000

NEWER = "a newer version of this program made it: use that one"
BACKUP = "stop the system, and put the database back from a backup"
BROKEN = {"database": f"if it is locked, end the program that holds it; if it is damaged, {BACKUP}"}
FIXES_OF_PARTS = {
    "database": "see the engine's log; the disk may be full, or the file locked by another program",
    "ami": "is Asterisk running with our manager user? `rented-numbers asterisk-config` says what its files need",
    "asterisk": "start Asterisk, or see its own log",
}


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix`: what to do; empty where nothing is wrong."""

    part: str
    verdict: Verdict
    what: str
    fix: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every part, in the order in which they stand on each other: without a database nothing more is looked at.

    Raises nothing that a broken system brings about.
    """
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found.extend(check(settings))
        except (RentedNumbersError, OSError, sqlite3.Error) as error:
            # Most of our own errors say what to do as well.
            part = check.__name__.strip("_").replace("_", " ")
            found.append(Finding(part, Verdict.FAILED, str(error), BROKEN.get(part, "")))
            if check in FOUNDATIONS:
                break
    return found


Check = Callable[[Settings], Iterable[Finding]]


def _data_directory(settings: Settings) -> Iterator[Finding]:
    require_database(settings)
    make_data_dir(settings)
    free = shutil.disk_usage(settings.data_dir).free
    text = f"{settings.data_dir}, {free >> 20} MB free"
    if free < LOW_DISK:
        verdict = Verdict.FAILED if free < NO_DISK else Verdict.WARNING
        yield Finding("data directory", verdict, text, "make room: with a full disk every call is refused")
    else:
        yield Finding("data directory", Verdict.OK, text)


def _secrets(settings: Settings) -> Iterator[Finding]:
    secrets.load(settings.data_dir / "secrets")
    yield Finding("secrets", Verdict.OK, "all there, and readable by their owner only")


def _database(settings: Settings) -> Iterator[Finding]:
    require_database(settings)
    revision, newest = revision_of(settings.database), newest_revision()
    if revision != newest:
        older = revision is None or revision < newest
        verdict, fix = (Verdict.WARNING, "the next start brings it there") if older else (Verdict.FAILED, NEWER)
        yield Finding("database", verdict, f"schema {revision}; this program's is {newest}", fix)
    with closing(sqlite3.connect(settings.database, timeout=WRITE_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        deadline = time.monotonic() + SEARCH_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        try:
            [(fault,), *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
            looked_at = "all"
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            fault, looked_at = "ok", "a part"
    if fault == "ok":
        yield Finding("database", Verdict.OK, f"can be written; {looked_at} of it looked at, no fault found")
    else:
        yield Finding("database", Verdict.FAILED, fault, BACKUP)


def _engine(settings: Settings) -> Iterator[Finding]:
    if not _is_running(settings):
        yield Finding("engine", Verdict.FAILED, "is not running", "`make run`, or `rented-numbers serve`")
        return
    parts = _health(settings)
    if parts is None:
        fix = "it starts, or hangs; its watchdog ends one that hangs. See its log"
        yield Finding("engine", Verdict.FAILED, "runs, but its /health does not answer", fix)
        return
    yield Finding("engine", Verdict.OK, f"answers on port {settings.http_port}")
    for name, state in parts.items():
        verdict = Verdict.OK if state == "up" else Verdict.FAILED
        yield Finding(name, verdict, f"the engine says: {state}", "" if state == "up" else FIXES_OF_PARTS.get(name, ""))


def _asterisk_program(settings: Settings) -> Iterator[Finding]:
    if settings.manage_asterisk:
        yield Finding("asterisk program", Verdict.OK, f"Asterisk {find_program().version}")


def _ports(settings: Settings) -> Iterator[Finding]:
    if not _is_running(settings):
        refuse_taken_ports(settings)
        yield Finding("ports", Verdict.OK, "all free")


def _numbers(settings: Settings) -> Iterator[Finding]:
    states = asyncio.run(_numbers_by_state(settings))
    total, free = sum(states.values()) - states.get("RETIRED", 0), states.get("FREE", 0)
    text = ", ".join(f"{count} {state.lower()}" for state, count in sorted(states.items())) or "none at all"
    if not free:
        fix = "`rented-numbers numbers import pool.csv`: no booking can be made"
        yield Finding("numbers", Verdict.FAILED, text, fix)
    elif free < total * FEW_NUMBERS:
        yield Finding("numbers", Verdict.WARNING, text, "few are left: `rented-numbers numbers import pool.csv`")
    else:
        yield Finding("numbers", Verdict.OK, text)


def _callbacks(settings: Settings) -> Iterator[Finding]:
    now = SystemClock().now()
    counts = asyncio.run(_callback_counts(settings, due_before=EpochMs(now - LATE_MS), since=EpochMs(now - DAY_MS)))
    text = f"{counts['pending']} waiting, {counts['late']} of them too long; {counts['failed']} given up within a day"
    if counts["late"]:
        yield Finding("callbacks", Verdict.WARNING, text, "the engine delivers them: is it running? See its log")
    elif counts["failed"]:
        yield Finding("callbacks", Verdict.WARNING, text, "their receivers do not take them: tell the customers")
    else:
        yield Finding("callbacks", Verdict.OK, text)


def _journal(settings: Settings) -> Iterator[Finding]:
    names = [path.suffix for path in settings.journal.iterdir()] if settings.journal.is_dir() else []
    bad, waiting = names.count(".bad"), names.count(".json")
    text = f"{waiting} ends of calls wait"
    if bad:
        fix = f"look at the .bad files in {settings.journal}: what they tell is settled as lost"
        yield Finding("journal", Verdict.WARNING, f"{text}, {bad} cannot be read", fix)
    elif waiting and _is_running(settings):
        yield Finding("journal", Verdict.WARNING, text, "the engine takes them in within seconds; if not, see its log")
    else:
        yield Finding("journal", Verdict.OK, text)


def _ledger(settings: Settings) -> Iterator[Finding]:
    bookings, wrong, after = 0, 0, ""
    deadline = time.monotonic() + SEARCH_SECONDS
    while True:
        page = asyncio.run(_audited(settings, after))
        bookings, wrong, after = bookings + page.bookings, wrong + len(page.discrepancies), page.last
        if not after or time.monotonic() > deadline:
            break
    text = f"{bookings} bookings verified, {wrong} discrepancies"
    if wrong:
        yield Finding("ledger", Verdict.FAILED, text, "`rented-numbers ledger verify` lists them; report it, please")
    else:
        more = "; `rented-numbers ledger verify` does the rest" if after else ""
        yield Finding("ledger", Verdict.OK, text + more)


def _exposure(settings: Settings) -> Iterator[Finding]:
    if not ip_address(settings.http_host).is_loopback:
        yield Finding(
            "exposure",
            Verdict.WARNING,
            f"the API listens on {settings.http_host} without TLS",
            "put a proxy with TLS in front of it, and the API on loopback",
        )
    if settings.profile is Profile.DEMO and not ip_address(settings.sip_host).is_loopback:
        yield Finding(
            "exposure",
            Verdict.WARNING,
            f"softphones of the demo can register on {settings.sip_host}",
            "RENTED_NUMBERS_PROFILE=production",
        )


def _test_switches(_: Settings) -> Iterator[Finding]:
    for variable in active_test_switches():
        yield Finding("test switch", Verdict.WARNING, f"{variable} is set; it is for tests only", "unset it")


FOUNDATIONS: tuple[Check, ...] = (_data_directory, _database)
CHECKS: tuple[Check, ...] = (
    _asterisk_program,
    _data_directory,
    _secrets,
    _database,
    _ports,
    _engine,
    _numbers,
    _callbacks,
    _journal,
    _ledger,
    _exposure,
    _test_switches,
)


def _is_running(settings: Settings) -> bool:
    try:
        with lock.held(settings.data_dir, lock.ENGINE_LOCK):
            return False
    except lock.DataDirInUse:
        return True


def _health(settings: Settings) -> dict[str, str] | None:
    """Each part with its state; None: no answer."""
    url = f"http://{reachable(settings.http_host)}:{settings.http_port}/health"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=HEALTH_SECONDS) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    except OSError:
        return None
    parts: dict[str, str] = json.loads(body).get("parts", {})
    return parts


async def _numbers_by_state(settings: Settings) -> dict[str, int]:
    async with Reads(settings.database) as reads:
        return await reads.numbers_by_state()


async def _callback_counts(settings: Settings, *, due_before: EpochMs, since: EpochMs) -> dict[str, int]:
    async with Reads(settings.database) as reads:
        return await reads.callback_counts(due_before=due_before, since=since)


async def _audited(settings: Settings, after: str) -> Audited:
    storage = SqliteStorage(settings.database)
    try:
        return await storage.run(audit_page, after)
    finally:
        await storage.close()
