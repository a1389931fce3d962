"""A7: one account fills its rows with text and lists them at its whole quota; another account does not notice.

`-s` prints the figures. `LIST_ATTACK=20` attacks for so many seconds in each way.
"""

import asyncio
import json
import math
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle

import pytest

from api.app import RequestLimits
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction
from tests.integration.api_helpers import UNKNOWN_BOOKING, Api
from tests.integration.many_cdrs import copies

pytest_plugins = ["tests.integration.api_fixtures"]

SECONDS = float(os.environ.get("LIST_ATTACK", "1.5"))
# Bookings, and callbacks.
ROWS = 590
RECORDS = 6_000
# Five pairs that a filter can name, and 30 kB, at four bytes a character: as many pairs as there may be.
PAIRS = dict.fromkeys("abcde", "1")
FAT = PAIRS | {f"key{n:02}": chr(0x1F600 + n) * 500 for n in range(15)}
QUOTA = RequestLimits()
BURST = 10
ATTACKS = {
    "five pairs of metadata": "/bookings?metadata[a]=1&metadata[b]=1&metadata[c]=1&metadata[d]=1&metadata[e]=2",
    "a pair that all have": "/bookings?limit=100&metadata[a]=1",
    "a label": "/bookings?limit=100&label=none",
    "a number": "/bookings?limit=100&destination=%2B14155550199",
    "all bookings": "/bookings?limit=100",
    "callbacks in a state": "/callbacks?limit=100&state=DELIVERED",
    "callbacks of a booking": f"/callbacks?limit=100&bookingId={UNKNOWN_BOOKING}",
    "records of a caller": "/cdr?limit=100&source=%2B14155550199",
    "exports": "/cdr.csv?source=%2B14155550199",
}


@pytest.fixture
def api_limits() -> RequestLimits:
    return QUOTA


@dataclass
class Answers:
    """Statuses, and how long the answers took, in milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        return sorted(self.took)[math.ceil(len(self.took) * part) - 1]

    def __add__(self, other: "Answers") -> "Answers":
        return Answers(self.statuses + other.statuses, self.took + other.took)

    def __str__(self) -> str:
        p50, p99 = self.percentile(0.5), self.percentile(0.99)
        return f"p50/p99 {p50:.1f}/{p99:.1f} ms of {len(self.took)}, {dict(self.statuses)}"


async def answered(api: Api, account: str | None, path: str, answers: Answers) -> None:
    began = time.perf_counter()
    headers = {"Authorization": f"Bearer {api.keys[account]}"} if account else {}
    async with api.client.get(path, headers=headers) as answer:
        await answer.read()
    answers.statuses[answer.status] += 1
    answers.took.append(1_000 * (time.perf_counter() - began))


async def another_account(api: Api, booking: str, seconds: float) -> Answers:
    """Sends requests one after the other, below its quota."""
    paths = cycle([("theirs", f"/bookings/{booking}"), ("theirs", "/bookings"), ("theirs", "/cdr"), (None, "/health")])
    answers, end = Answers(), time.monotonic() + seconds
    while time.monotonic() < end:
        await answered(api, *next(paths), answers)
        await asyncio.sleep(0.1)
    return answers


async def attack(api: Api, path: str, answers: Answers) -> None:
    """Sends a burst, and then as many requests as the quota allows, without waiting for answers, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(10**6):
            tasks.create_task(answered(api, "ours", path, answers))
            if number >= BURST:
                await asyncio.sleep(60 / QUOTA.requests_per_minute)


async def attacked(api: Api, booking: str, path: str) -> tuple[Answers, Answers]:
    """Returns the answers to another account and those to the attacker."""
    attackers = Answers()
    running = asyncio.create_task(attack(api, path, attackers))
    try:
        return await another_account(api, booking, SECONDS), attackers
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def fill(api: Api) -> None:
    """Gives the attacker as many rows as it may have, each as large as it may be."""
    booking = await api.book(label="all")
    await api.talk(booking["service"], CallId("call"), 1)
    [record] = (await api.call("GET", "/cdr")).body["data"]
    await copies(api, record["id"], RECORDS)
    model = await api.storage.run(lambda tx: tx.bookings.by_id(booking["id"]))
    assert model is not None
    body = json.dumps({"metadata": FAT}, ensure_ascii=False)

    def insert(tx: Transaction, number: int) -> None:
        service = E164(f"+32266{number:06}")
        copy = replace(model, id=BookingId(new_id("bkg")), service=service, metadata=FAT)
        tx.bookings.insert(copy)
        tx.outbox.insert(
            event_id=new_id("evt"),
            account_id=model.account_id,
            booking_id=copy.id,
            url=model.callback,
            body=body,
            now=EpochMs(number),
        )

    await asyncio.gather(*(api.storage.run(insert, number) for number in range(ROWS)))


async def test_another_account_does_not_notice_lists_of_large_rows(api: Api) -> None:
    await fill(api)
    booking = (await api.book(account="theirs"))["id"]
    quiet, attacked_all = await another_account(api, booking, 4 * SECONDS), Answers()
    figures = [f"quiet: {quiet}"]
    for name, path in ATTACKS.items():
        others, attackers = await attacked(api, booking, path)
        attacked_all += others
        figures.append(f"{name}: {others}; attacker: {dict(attackers.statuses)}")
    print("", *figures, f"all attacks: {attacked_all}", sep="\n")  # noqa: T201
    assert attacked_all.statuses.keys() == {200}, figures
    # Other work on the machine delays a few answers too, so the limit is generous.
    assert attacked_all.percentile(0.99) <= max(4 * quiet.percentile(0.99), 100), figures
