"""Does one thing that is reported to a customer: `-m tests.contract.notifications_victim DATABASE STEP NOW`.

Started with a failpoint, it is killed at that point; the test then repeats the step without one.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from engine.bookings.endings import sweep
from engine.callbacks import notifications
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.interface import Storage
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import CALLER, DAY, POLICY, SECOND, START, answer_report, end_report
from tests.contract.world import POOL

PLANS = {UsagePlan.SMALL: Allowance(100, 100, 7 * DAY)}
RULES = replace(POLICY, plans=PLANS, longest_call_seconds=100)
FLOOD = 500
Step = Callable[[Storage, Timestamp], Awaitable[object]]


async def notify(storage: Storage, at: Timestamp) -> None:
    await notifications.notify_all_due(storage, at.wall_ms, RULES)


async def clean_up(storage: Storage, at: Timestamp) -> None:
    await storage.run(sweep, at, RULES)


async def answer(storage: Storage, at: Timestamp) -> None:
    await storage.run(note_answer, answer_report("c1"), at)


async def end(storage: Storage, at: Timestamp) -> None:
    await storage.run(call_ended, end_report("c1", 50 * SECOND), at, RULES)


async def miss(storage: Storage, at: Timestamp) -> None:
    await storage.run(call_ended, end_report("c1", 0, "BUSY"), at, RULES)


async def flood(storage: Storage, at: Timestamp) -> None:
    calls = [IncomingCall(CallId(f"flood-{number}"), E164(POOL[0]), CALLER) for number in range(FLOOD)]
    await asyncio.gather(*(storage.run(route_call, call, at, RULES) for call in calls))


STEPS: dict[str, Step] = {
    "notify": notify,
    "clean_up": clean_up,
    "answer": answer,
    "end": end,
    "miss": miss,
    "flood": flood,
}


async def main(database: Path, step: str, now: EpochMs) -> None:
    storage = SqliteStorage(database)
    await STEPS[step](storage, Timestamp(now, BootMs(now - START)))
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], EpochMs(int(sys.argv[3]))))
