"""M3: SIGKILL at random moments. Nothing that was confirmed is lost, nothing is doubled, the ledger balances."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import psycopg

from engine.bookings.endings import SWEEP_LIMIT, sweep
from engine.bookings.lifecycle import BookingRequest, book
from engine.config.postgres_address import PostgresAddress
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import EpochMs, Timestamp
from engine.storage.database import Database, open_storage
from tests.contract.ledger import broken_rules
from tests.contract.racing import PATIENCE_SECONDS
from tests.contract.samples import CALLBACK, HIDDEN, HOUR, POLICY, START
from tests.contract.world import POOL, World, outsider
from tests.programs import ended

WORKING = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'rented-numbers'"
# On a server two engines work at once, and are killed one after the other.
KILLS = {"sqlite": 10, "postgresql": 3}
ENGINES = {"sqlite": 1, "postgresql": 2}
ROOT = Path(__file__).parents[2]
PLENTY = replace(POLICY, plans={UsagePlan.LARGE: Allowance(10**6, 10**6, 30 * 24 * HOUR)})


def run_and_kill(database: Database, seeds: Sequence[str]) -> list[str]:
    """Lets engines make calls for random times, kills them, and returns what the storage had confirmed by then."""
    confirmed: list[str] = []
    with ExitStack() as running:
        victims = [running.enter_context(ended(_victim(database, seed))) for seed in seeds]
        for victim in victims:
            assert victim.stdout is not None
            confirmed.append(victim.stdout.readline())
        for victim, seed in zip(victims, seeds, strict=True):
            time.sleep(random.Random(seed).uniform(0, 0.2))
            victim.kill()
        for victim in victims:
            assert victim.stdout is not None
            confirmed += victim.stdout
    assert {victim.returncode for victim in victims} == {-9}, "one ended by itself"
    if isinstance(database, PostgresAddress):
        _wait_for_the_server(database)
    return [line.rstrip("\n") for line in confirmed if line.endswith("\n")]


def _victim(database: Database, seed: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.contract.victim", str(database), seed]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _wait_for_the_server(database: PostgresAddress) -> None:
    """The server may still be carrying out what it has received."""
    with closing(psycopg.connect(database, autocommit=True)) as server:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while server.execute(WORKING).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def check_confirmed(database: Database, confirmed: list[str]) -> None:
    """What the storage confirmed before the kill is there after it."""
    with outsider(database) as connection:
        leased = {row["call_id"] for row in connection.execute("SELECT call_id FROM calls")}
        recorded = {row["call_id"] for row in connection.execute("SELECT call_id FROM cdrs")}
    for line in confirmed:
        what, call_id = line.split()
        assert call_id in (leased if what == "leased" else recorded), line


async def prepare(database: Database) -> None:
    storage = open_storage(database)
    world = await World.begin(storage, database)
    for _ in POOL:
        request = BookingRequest(world.account, HIDDEN, UsagePlan.LARGE, CALLBACK)
        await storage.run(book, request, START, PLENTY)
    await storage.close()


async def settle_the_lost(database: Database) -> int:
    storage = open_storage(database)
    swept = await storage.run(sweep, Timestamp(EpochMs(START + HOUR), HOUR), PLENTY)
    await storage.close()
    return swept.calls_lost


async def test_kills_during_calls_lose_and_double_nothing(kind: str, database: Database) -> None:
    await prepare(database)
    settled = lost = 0
    for seed in range(KILLS[kind]):
        confirmed = run_and_kill(database, [f"{seed}.{engine}" for engine in range(ENGINES[kind])])
        settled += sum(line.startswith("settled") for line in confirmed)
        check_confirmed(database, confirmed)
        with outsider(database) as connection:
            assert broken_rules(connection) == {}
        lost += await settle_the_lost(database)
        with outsider(database) as connection:
            assert broken_rules(connection) == {}
            assert connection.execute("SELECT 1 FROM calls WHERE ended_at IS NULL").fetchall() == []
    # Otherwise the kills would not have interrupted anything.
    assert settled > KILLS[kind]
    assert 0 < lost < SWEEP_LIMIT
