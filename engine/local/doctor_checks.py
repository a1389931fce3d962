"""The checks of `doctor`, one function for each part of a system.

Each takes the settings and yields findings. It may raise RentedNumbersError, OSError or sqlite3.Error, which `examine`
turns into a finding.
"""

import asyncio
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TypeVar

from engine.asterisk.config_files import find_program
from engine.cdr.ledger import AuditPage, audit_page
from engine.config import secrets
from engine.config.settings import Settings
from engine.config.sources import active_test_switches
from engine.config.types import Profile
from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.wording import counted
from engine.local.data_dir import make_data_dir, require_database
from engine.local.findings import Finding, Verdict
from engine.local.ports import refuse_taken_ports
from engine.runtime import lock
from engine.runtime.clock import SystemClock
from engine.runtime.data_files import faults_of_files
from engine.storage.database import open_storage
from engine.storage.files import database_files
from engine.storage.reads import Reads
from engine.storage.transaction import Transaction

T = TypeVar("T")

HEALTH_SECONDS = 4.0
# Time limit for reading through a large database; what is left is not checked.
SEARCH_SECONDS = 5.0
LOW_DISK, NO_DISK = 1 << 30, 64 << 20
FEW_NUMBERS = 0.05
# A callback that has been due for this long waits for an engine that does not deliver.
LATE_MS = 60_000
# How many contradictions are named.
MAX_NAMED = 5
REPORT = "stop the system, keep a copy of the database, and please report this"

FIXES_OF_PARTS = {
    "engine": "the engine is stopping and takes no new calls: start it again",
    "database": "see the engine's log. If the disk is full, make room; if another program has locked the file, end it; "
    "if it was replaced or is damaged, stop the engine and use `rented-numbers restore`",
    "ami": "check that Asterisk runs and has our manager user; `rented-numbers asterisk-config` says how to set it up",
    "asterisk": "start Asterisk, or see its log; if it has another one's token, see docs/scale.md",
}


FIXES_OF_TRUNKS = {
    "down": "its carrier does not answer, so no call is sent over it: check its uri, the firewall and the carrier; "
    "`rented-numbers trunks test` makes a call over it",
    "missing": "Asterisk does not know it: write Asterisk's files again (`rented-numbers asterisk-config`, or a new "
    "start of our own Asterisk), and reload them",
}


def asterisk_program(settings: Settings) -> Iterator[Finding]:
    """Checks that there is an Asterisk to run, if we run it."""
    if settings.manage_asterisk:
        yield Finding("asterisk program", Verdict.OK, f"Asterisk {find_program().version}")


def data_directory(settings: Settings) -> Iterator[Finding]:
    """Checks the data directory's rights and the free disk space."""
    require_database(settings)
    make_data_dir(settings)
    free = shutil.disk_usage(settings.data_dir).free
    text = f"{settings.data_dir}, {free >> 20} MB free"
    if free < LOW_DISK:
        verdict = Verdict.FAILED if free < NO_DISK else Verdict.WARNING
        yield Finding("data directory", verdict, text, "make room: with a full disk every call is refused")
    else:
        yield Finding("data directory", Verdict.OK, text)


def readable_secrets(settings: Settings) -> Iterator[Finding]:
    """Checks that all secrets exist and that only their owner can read them."""
    secrets.load(settings.data_dir / "secrets")
    yield Finding("secrets", Verdict.OK, "all exist, and only their owner can read them")


def files(settings: Settings) -> Iterator[Finding]:
    """Checks kinds, owners and modes of the files that the engine opens by name."""
    opened_by_name = database_files(settings.database) if settings.database_url is None else ()
    faults = list(faults_of_files(settings.data_dir, opened_by_name, settings.journal))
    for fault in faults:
        what, _, fix = fault.rpartition(": ")
        yield Finding("files", Verdict.FAILED, what, fix)
    if not faults:
        yield Finding("files", Verdict.OK, "only their owner can read and change them")


def ports(settings: Settings) -> Iterator[Finding]:
    """Checks that all ports are free, if no engine runs."""
    if not is_running(settings):
        refuse_taken_ports(settings)
        yield Finding("ports", Verdict.OK, "all are free")


def engine(settings: Settings) -> Iterator[Finding]:
    """Checks that an engine runs, and reports each part of it as /health does."""
    if not is_running(settings):
        fix = "start the system with `make run`, or the engine alone with `rented-numbers serve`"
        yield Finding("engine", Verdict.FAILED, "is not running", fix)
        return
    health = _health(settings)
    if health is None:
        fix = "it is starting, or it hangs, and then its watchdog ends it; see its log"
        yield Finding("engine", Verdict.FAILED, "is running, but /health does not answer", fix)
        return
    yield Finding("engine", Verdict.OK, f"answers on port {settings.http_port}")
    for name, state in health.get("parts", {}).items():
        verdict = Verdict.OK if state == "up" else Verdict.FAILED
        fix = "" if state == "up" else FIXES_OF_PARTS.get(name, "")
        yield Finding(name, verdict, f"the engine reports: {state}", fix)
    for name, state in health.get("trunks", {}).items():
        fix = FIXES_OF_TRUNKS.get(state, "")
        yield Finding(f"trunk {name}", Verdict.FAILED if fix else Verdict.OK, f"the engine reports: {state}", fix)


def numbers(settings: Settings) -> Iterator[Finding]:
    """Checks that there are numbers to rent."""
    states = asyncio.run(_numbers_by_state(settings))
    total, free = sum(states.values()) - states.get("RETIRED", 0), states.get("FREE", 0)
    text = ", ".join(f"{count} {state.lower()}" for state, count in sorted(states.items())) or "there are none"
    if not free:
        fix = "no booking can be made: import numbers with `rented-numbers numbers import pool.csv`"
        yield Finding("numbers", Verdict.FAILED, text, fix)
    elif free < total * FEW_NUMBERS:
        fix = "few are free: import more with `rented-numbers numbers import pool.csv`"
        yield Finding("numbers", Verdict.WARNING, text, fix)
    elif settings.profile is Profile.PRODUCTION and (name := asyncio.run(_who_may_take(settings, total))):
        fix = f"set MAX_BOOKINGS_PER_ACCOUNT below {total}, or `rented-numbers accounts limits … --max-bookings …`"
        yield Finding("numbers", Verdict.WARNING, f"{text}; the account {name!r} may take all of them from others", fix)
    else:
        yield Finding("numbers", Verdict.OK, text)


def numbers_of_bookings(settings: Settings) -> Iterator[Finding]:
    """Checks that every booked number has its booking, and that every booking's number is booked."""
    unheld, unbooked = asyncio.run(_read(settings, _contradictions))
    for number in unheld:
        yield Finding("numbers of bookings", Verdict.FAILED, f"{number} is booked, and no booking holds it", REPORT)
    for booking in unbooked:
        what = f"booking {booking} holds a number that the pool could give to somebody else"
        yield Finding("numbers of bookings", Verdict.FAILED, what, REPORT)
    if not unheld and not unbooked:
        yield Finding("numbers of bookings", Verdict.OK, "each booked number has its booking")


def callbacks(settings: Settings) -> Iterator[Finding]:
    """Checks that callbacks are delivered."""
    now = SystemClock().now()
    counts = asyncio.run(_callback_counts(settings, due_before=EpochMs(now - LATE_MS), since=EpochMs(now - DAY_MS)))
    text = f"{counts['pending']} waiting, {counts['late']} of them too long; {counts['failed']} given up within a day"
    if counts["late"]:
        fix = "the engine delivers callbacks: check that it runs, and see its log"
        yield Finding("callbacks", Verdict.WARNING, text, fix)
    elif counts["failed"]:
        fix = "the receivers did not accept them: `rented-numbers callbacks list` shows why; inform the customers"
        yield Finding("callbacks", Verdict.WARNING, text, fix)
    else:
        yield Finding("callbacks", Verdict.OK, text)


def ledger(settings: Settings) -> Iterator[Finding]:
    """Checks that what each booking was granted equals what is left, leased and settled."""
    bookings, wrong = 0, 0
    after: BookingId | None = None
    deadline = time.monotonic() + SEARCH_SECONDS
    while True:
        page = asyncio.run(_audited(settings, after))
        bookings, wrong, after = bookings + page.bookings, wrong + len(page.discrepancies), page.last
        if not after or time.monotonic() > deadline:
            break
    text = f"{counted(bookings, 'booking')} verified, {counted(wrong, 'discrepancy')}"
    if wrong:
        fix = "`rented-numbers ledger verify` lists them; please report this"
        yield Finding("ledger", Verdict.FAILED, text, fix)
    else:
        more = "; `rented-numbers ledger verify` checks the rest" if after else ""
        yield Finding("ledger", Verdict.OK, text + more)


def exposure(settings: Settings) -> Iterator[Finding]:
    """Warns of services that other machines can reach and should not."""
    if not ip_address(settings.http_host).is_loopback:
        yield Finding(
            "exposure",
            Verdict.WARNING,
            f"the API listens on {settings.http_host} without TLS",
            "let the API listen on loopback, behind a proxy with TLS",
        )
    if settings.profile is Profile.DEMO and not ip_address(settings.sip_host).is_loopback:
        yield Finding(
            "exposure",
            Verdict.WARNING,
            f"the demo's softphones can register on {settings.sip_host}",
            "set RENTED_NUMBERS_PROFILE=production",
        )


def switches_for_tests(_: Settings) -> Iterator[Finding]:
    """Warns of variables that are meant for tests."""
    for variable in active_test_switches():
        yield Finding("test switch", Verdict.WARNING, f"{variable} is set; it is for tests only", "unset it")


def is_running(settings: Settings) -> bool:
    """Returns whether an engine runs on the data directory."""
    return lock.is_held(settings.data_dir, lock.ENGINE_LOCK)


def _health(settings: Settings) -> dict[str, dict[str, str]] | None:
    """Returns the states of the engine's parts and of the trunks; None if /health does not answer."""
    url = f"{settings.http_url}/health"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=HEALTH_SECONDS) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    except OSError:
        return None
    states: dict[str, dict[str, str]] = json.loads(body)
    return states


async def _numbers_by_state(settings: Settings) -> dict[str, int]:
    async with Reads(settings.books) as reads:
        return await reads.numbers_by_state()


async def _who_may_take(settings: Settings, numbers: int) -> str | None:
    """Returns the name of a customer who may hold this many numbers; None if there is none, or only one customer."""
    async with Reads(settings.books) as reads:
        accounts = await reads.accounts()
    customers = [each for each in accounts if each["test_of"] is None and each["suspended_at"] is None]
    default = settings.max_bookings_per_account
    names = (each["name"] for each in customers if (each["max_bookings"] or default) >= numbers)
    return next(names, None) if len(customers) > 1 else None


async def _callback_counts(settings: Settings, *, due_before: EpochMs, since: EpochMs) -> dict[str, int]:
    async with Reads(settings.books) as reads:
        return await reads.callback_counts(due_before=due_before, since=since)


async def _audited(settings: Settings, after: BookingId | None) -> AuditPage:
    return await _read(settings, lambda tx: audit_page(tx, after))


def _contradictions(tx: Transaction) -> tuple[list[E164], list[str]]:
    return tx.restores.booked_without_booking(MAX_NAMED), tx.restores.held_but_not_booked(MAX_NAMED)


async def _read(settings: Settings, query: Callable[[Transaction], T]) -> T:
    storage = open_storage(settings.books)
    try:
        return await storage.run(query)
    finally:
        await storage.close()
