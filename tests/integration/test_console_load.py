"""Calls while many consoles are open.

`pytest -s` prints figures; CONSOLE_LOAD="CONSOLES SECONDS ROUNDS LIVE-CALLS" opens more of them, in
turns with none.
"""

import asyncio
import gc
import os
import time
from itertools import chain, count
from pathlib import Path
from statistics import median, quantiles

import pytest

from engine.accounts.accounts import create_account
from engine.accounts.sign_in import new_session
from engine.bookings.number_pool import import_numbers
from engine.domain.booking import Booking
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import HOUR_MS, EpochMs
from engine.domain.web_access import Role
from tests.contract.world import World
from tests.integration.api_helpers import PEPPER
from tests.integration.database_world import WorldClock, world_on_disk
from tests.integration.fake_asterisk import FastAgi, fast_agi
from tests.integration.test_fastagi_attack import calls
from tests.integration.web_server import served_pages
from tests.programs import crowd

CONSOLES, SECONDS, ROUNDS, LIVE_CALLS = os.environ.get("CONSOLE_LOAD", "6 1 1 20").split()
NUMBERS = 10_000
AT_ONCE = 2
PAGES = ("streams", "messages", "pages 200")


async def fill(world: World) -> None:
    """Makes live calls on bookings of three accounts, and a pool of 10,000 numbers."""
    await world.storage.run(import_numbers, [(n, f"+3226{n:06}") for n in range(NUMBERS)], world.now)
    accounts = [await world.storage.run(create_account, name, world.now) for name in ("Bob", "Cem", "Dan")]
    for number in range(int(LIVE_CALLS)):
        destination = E164(f"+324701{number:05}")
        booking = await world.book(UsagePlan.LARGE, destination, account=accounts[number % 3].id)
        await world.bridge(booking, f"rn0-1772366400.{number}")
        await world.answered(f"rn0-1772366400.{number}")  # type: ignore[arg-type]


async def measured(agi: FastAgi, booking: Booking, ids: "count[int]", seconds: float) -> list[float]:
    until, used = asyncio.get_running_loop().time() + seconds, time.thread_time()
    took = list(chain(*await asyncio.gather(*(calls(agi, booking, ids, until) for _ in range(AT_ONCE)))))
    # Engine and callers share the loop: only the difference between two such figures is the consoles'.
    print(f"the event loop was busy for {100 * (time.thread_time() - used) / seconds:.0f} % of the time")  # noqa: T201
    return took


def centiles(took: list[float]) -> str:
    every = quantiles(took, n=100)
    return f"p50/p99 {every[49]:.2f}/{every[98]:.2f} ms of {len(took)} calls"


@pytest.mark.timeout(900)
async def test_calls_are_put_through_while_consoles_are_open(tmp_path: Path) -> None:
    ids, alone, beside = count(), list[list[float]](), list[list[float]]()
    async with world_on_disk(tmp_path) as world, fast_agi(world) as agi:
        booking = await world.book(UsagePlan.LARGE)
        await fill(world)
        async with served_pages(tmp_path, world.storage, WorldClock(world), world.database) as (url, _, _):
            ends_at = EpochMs(world.now + HOUR_MS)
            opened = [
                await world.storage.run(new_session, Role.OPERATOR, None, ends_at, PEPPER, world.now)
                for _ in range(1 + int(CONSOLES) // 4)
            ]
            secrets = [each.secret for each in opened]
            gc.freeze()  # as the engine does
            for _ in range(int(ROUNDS)):
                alone.append(await measured(agi, booking, ids, float(SECONDS)))
                words = (url, CONSOLES, str(float(SECONDS) + 0.5), *secrets)
                async with crowd("tests.integration.console_visitors", *words, announces_itself=True) as said:
                    beside.append(await measured(agi, booking, ids, float(SECONDS)))
                print("visitors:", said[0])  # noqa: T201
                assert said[0]["streams"] == int(CONSOLES)
                assert all(said[0][name] for name in PAGES)
                assert set(said[0]) <= {*PAGES, "slowest ms"}  # no page was refused
        await agi.until_idle()
    print("alone:", centiles([*chain(*alone)]), f"; beside {CONSOLES} consoles:", centiles([*chain(*beside)]))  # noqa: T201
    ratios = [quantiles(b, n=100)[98] / quantiles(a, n=100)[98] for a, b in zip(alone, beside, strict=True)]
    print(f"p99, by rounds: {[round(each, 2) for each in ratios]}, median {median(ratios):.2f}")  # noqa: T201
    # All calls were put through, which `calls` asserts of each. Speed is printed only: the machine may be shared.
