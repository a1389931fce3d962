"""M3: SIGKILL at random moments. Nothing that was confirmed is lost, nothing is doubled, the ledger balances."""

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.bookings.lifecycle import SWEEP_LIMIT, BookingRequest, book, sweep
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import EpochMs, Timestamp
from engine.storage.sqlite import SqliteStorage
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, HIDDEN, HOUR, POLICY, START
from tests.contract.world import POOL, World, outsider
from tests.programs import ended

pytestmark = pytest.mark.sqlite_only

KILLS = 10
ROOT = Path(__file__).parents[2]
PLENTY = replace(POLICY, plans={UsagePlan.LARGE: Allowance(10**6, 10**6, 30 * 24 * HOUR)})


def run_and_kill(database: Path, seed: int) -> list[str]:
    """Lets it make calls for a random time, kills it, and returns what the storage had confirmed by then."""
    command = [sys.executable, "-m", "tests.contract.victim", str(database), str(seed)]
    with ended(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)) as victim:
        assert victim.stdout is not None
        first = victim.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.2))
        victim.kill()
        confirmed = [first, *victim.stdout]
    assert victim.returncode == -9, "it ended by itself"
    return [line.rstrip("\n") for line in confirmed if line.endswith("\n")]


def check_confirmed(database: Path, confirmed: list[str]) -> None:
    """What the storage confirmed before the kill is there after it."""
    with outsider(database) as connection:
        leased = {row["call_id"] for row in connection.execute("SELECT call_id FROM calls")}
        recorded = {row["call_id"] for row in connection.execute("SELECT call_id FROM cdrs")}
    for line in confirmed:
        what, call_id = line.split()
        assert call_id in (leased if what == "leased" else recorded), line


async def prepare(database: Path) -> None:
    storage = SqliteStorage(database)
    world = await World.begin(storage, database)
    for _ in POOL:
        request = BookingRequest(world.account, HIDDEN, UsagePlan.LARGE, CALLBACK)
        await storage.run(book, request, START, PLENTY)
    await storage.close()


async def settle_the_lost(database: Path) -> int:
    storage = SqliteStorage(database)
    swept = await storage.run(sweep, Timestamp(EpochMs(START + HOUR), HOUR), PLENTY)
    await storage.close()
    return swept.calls_lost


async def test_ten_kills_during_calls_lose_and_double_nothing(database: Path) -> None:
    await prepare(database)
    settled = lost = 0
    for seed in range(KILLS):
        confirmed = run_and_kill(database, seed)
        settled += sum(line.startswith("settled") for line in confirmed)
        check_confirmed(database, confirmed)
        with outsider(database) as connection:
            assert broken_rules(connection) == {}
        lost += await settle_the_lost(database)
        with outsider(database) as connection:
            assert broken_rules(connection) == {}
            assert connection.execute("SELECT 1 FROM calls WHERE ended_at IS NULL").fetchall() == []
    # Otherwise the kills would not have interrupted anything.
    assert settled > KILLS
    assert 0 < lost < SWEEP_LIMIT
