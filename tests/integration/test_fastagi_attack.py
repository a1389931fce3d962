"""Good calls during an attack. `pytest -s` prints figures; AGI_ATTACK="PEERS SECONDS" attacks for longer."""

import asyncio
import gc
import os
import time
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from statistics import quantiles

import pytest

from engine.domain.booking import Booking
from engine.domain.policy import UsagePlan
from tests.contract.world import World
from tests.integration.agi_attackers import KINDS
from tests.integration.database_world import world_on_disk
from tests.integration.fake_asterisk import FastAgi, fast_agi
from tests.programs import crowd

PEERS, SECONDS = os.environ.get("AGI_ATTACK", "200 2").split()
AT_ONCE = 4


async def calls(agi: FastAgi, booking: Booking, ids: "count[int]", until: float) -> list[float]:
    """Make whole calls in turn. Returns the milliseconds until each was bridged."""
    took = []
    while time.monotonic() < until:
        call_id = f"rn0-{next(ids)}"
        began = time.monotonic()
        channel = await agi.incoming(booking.service, call_id).run()
        took.append((time.monotonic() - began) * 1000)
        assert channel.variables["RN_VERDICT"] == "BRIDGE"
        await agi.ended(booking, "", "CANCEL", call_id)
        await asyncio.sleep(0.02)
    return took


@dataclass(frozen=True)
class Stall:
    """Measure how late the event loop runs timers, in ms, and how much of that it was busy itself."""

    late: float
    busy: float


async def stalls(until: float) -> list[Stall]:
    found = []
    while time.monotonic() < until:
        began, used = time.monotonic(), time.thread_time()
        await asyncio.sleep(0.005)
        found.append(Stall((time.monotonic() - began - 0.005) * 1000, (time.thread_time() - used) * 1000))
    return found


async def measured(agi: FastAgi, booking: Booking, ids: "count[int]", seconds: float) -> dict[str, float]:
    until = time.monotonic() + seconds
    watching = asyncio.create_task(stalls(until))
    each = list(chain(*await asyncio.gather(*(calls(agi, booking, ids, until) for _ in range(AT_ONCE)))))
    stalled = await watching
    centiles = quantiles(each, n=100)
    return {
        "calls": len(each),
        "p50 ms": centiles[49],
        "p99 ms": centiles[98],
        "longest stall ms": max(stall.late for stall in stalled),
        "of these busy ms": max(stall.busy for stall in stalled),
    }


@pytest.mark.timeout(600)
async def test_good_calls_are_bridged_during_an_attack_of_bad_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = count()
    async with world_on_disk(tmp_path) as world, fast_agi(world) as agi:
        booking = await world.book(UsagePlan.LARGE)
        gc.freeze()  # as the engine does; collecting the objects of the test tools takes very long
        quiet = await measured(agi, booking, ids, 1.0)
        async with crowd("tests.integration.agi_attackers", str(agi.port), PEERS, SECONDS) as said:
            await asyncio.sleep(0.5)
            beside = await measured(agi, booking, ids, float(SECONDS) - 0.5)
        await agi.until_idle()
        assert agi.leases() == 0
        [report] = said
        assert set(report["connections"]) == set(KINDS)
        for name, figures in (("quiet", quiet), (f"beside {PEERS} bad peers", beside)):
            print(f"F1 {name}:", {key: round(value, 1) for key, value in figures.items()})  # noqa: T201
        print("F1 bad peers:", report)  # noqa: T201
        assert_served(beside, world)


def assert_served(beside: dict[str, float], world: World) -> None:
    """All calls must be served. Their speed is printed only, since the machine may be shared."""
    assert beside["calls"] > AT_ONCE
    assert len(world.rows("SELECT id FROM cdrs WHERE disposition = 'CANCELLED'")) > beside["calls"]
