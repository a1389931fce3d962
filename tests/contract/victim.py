"""A program that makes calls until it is killed: `python -m tests.contract.victim DATABASE SEED`.

It prints what the storage has confirmed, one line each; the test must find all of it again.
"""

import asyncio
import random
import sys
from pathlib import Path

from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.config.postgres_address import SCHEMES, PostgresAddress
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.times import BootMs, Timestamp
from engine.storage.database import open_storage
from engine.storage.interface import EngineStorage
from tests.contract.samples import CALLER, POLICY, START, answer_report, end_report
from tests.contract.world import POOL

CALLERS = 8
AT = Timestamp(START, BootMs(0))


async def keep_calling(storage: EngineStorage, name: str, chance: random.Random) -> None:
    number = 0
    while True:
        call_id = f"{name}-{number}"
        number += 1
        incoming = IncomingCall(CallId(call_id), E164(chance.choice(POOL)), CALLER)
        if not isinstance(await storage.run(route_call, incoming, AT, POLICY), Bridge):
            print(f"rejected {call_id}", flush=True)  # noqa: T201  its report to the test
            continue
        print(f"leased {call_id}", flush=True)  # noqa: T201
        if chance.random() < 0.7:
            await storage.run(note_answer, answer_report(call_id), AT)
        talked_ms = chance.choice([0, 1, 900, 2_500])
        settlement = await storage.run(call_ended, end_report(call_id, talked_ms, "BUSY"), AT, POLICY)
        if settlement is not None:
            print(f"settled {call_id}", flush=True)  # noqa: T201


async def main(database: str, seed: str) -> None:
    storage = open_storage(PostgresAddress(database) if database.startswith(SCHEMES) else Path(database))
    chance = random.Random(seed)
    await asyncio.gather(*(keep_calling(storage, f"{seed}-{n}", chance) for n in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
