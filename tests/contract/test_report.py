"""The report of a month: its seconds are those that the ledger has settled, whatever the calls were."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.accounts.accounts import create_account
from engine.cdr.report import report_lines
from engine.domain.booking import Booking
from engine.domain.errors import BookingGone, NoNumberFree
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import UsagePlan
from engine.domain.routing import Bridge
from engine.domain.times import DAY_MS, Span, month_from, rfc3339
from engine.storage.operator_reads import OperatorReads
from tests.contract.samples import HOUR, SECOND
from tests.contract.world import World

MONTHS = [f"{year}-{number:02}" for year in (2026, 2027) for number in range(1, 13)]
# What the ledger has settled for the calls of each account, to each number, by the month in which they came in.
SETTLED = """
SELECT b.account_id, b.service, strftime('%Y-%m', c.started_at / 1000, 'unixepoch') AS month,
    SUM(c.seconds_charged) AS seconds, SUM(c.state = 'SETTLED') AS answered
FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id WHERE c.ended_at IS NOT NULL
GROUP BY b.account_id, b.service, month
"""


def month(text: str) -> Span:
    found = month_from(text)
    assert found is not None
    return found


class Traffic:
    """Two accounts, their bookings and calls, in an order that chance decides."""

    def __init__(self, world: World, accounts: list[AccountId], seed: int) -> None:
        self.world, self.accounts = world, accounts
        self.chance = random.Random(seed)
        self.held = list[Booking]()
        self.up = list[CallId]()

    async def step(self, name: CallId) -> None:
        steps = {self.book: 2, self.call: 6, self.end: 5, self.cancel: 1, self.wait: 1}
        await self.chance.choices(list(steps), list(steps.values()))[0](name)
        await self.world.sweep()

    async def book(self, _: CallId) -> None:
        with suppress(NoNumberFree):
            self.held.append(await self.world.book(UsagePlan.LARGE, account=self.chance.choice(self.accounts)))

    async def call(self, name: CallId) -> None:
        self.world.now += self.chance.choice([0, SECOND, HOUR])
        if self.held and isinstance(await self.world.route(self.chance.choice(self.held).service, name), Bridge):
            self.up.append(name)
            if self.chance.random() < 0.8:
                await self.world.answered(name)

    async def end(self, _: CallId) -> None:
        talked = self.chance.choice([0, 1, 999, 1_000, 1_001, 45_300])
        if self.up:
            self.world.now += talked
            call_id = self.up.pop(self.chance.randrange(len(self.up)))
            await self.world.ended(call_id, talked, "ANSWER" if talked else "BUSY")

    async def cancel(self, _: CallId) -> None:
        gone = self.held.pop(0) if len(self.held) > 3 else None
        if gone is not None and gone.account_id == self.world.account:
            with suppress(BookingGone):
                await self.world.cancel(gone)

    async def wait(self, name: CallId) -> None:
        """Goes to the end of the month and calls: the call ends in the next one."""
        self.world.now = next(month(text).until for text in MONTHS if month(text).until > self.world.now) - 3 * SECOND
        await self.world.sweep()
        self.held.clear()
        await self.book(name)
        await self.call(name)


@pytest.mark.parametrize("seed", range(3))
async def test_the_seconds_of_a_report_are_those_that_the_ledger_settled(world: World, seed: int) -> None:
    world.policy = replace(world.policy, quarantine_ms=DAY_MS)
    accounts = [world.account, (await world.storage.run(create_account, "Bob", world.now)).id]
    traffic = Traffic(world, accounts, seed)
    for step in range(150):
        await traffic.step(CallId(f"c{step}"))
    for call_id in traffic.up:
        await world.ended(call_id, 5 * SECOND)
    expected = {
        (row["account_id"], row["service"], row["month"]): (row["seconds"], row["answered"])
        for row in world.rows(SETTLED)
        if row["seconds"]
    }
    reported, calls = {}, Counter[str]()
    async with OperatorReads(world.database) as reads:
        for text in MONTHS:
            async for line in report_lines(reads, accounts, month(text)):
                calls[text] += line.sums.calls
                if line.sums.seconds:
                    reported[line.account_id, line.number, text] = line.sums.seconds, line.sums.answered
    assert reported == expected
    assert len(expected) > 3
    assert len({text for *_, text in expected}) > 1
    [settled] = world.rows("SELECT SUM(seconds_settled) AS seconds FROM bookings")
    assert sum(seconds for seconds, _ in reported.values()) == settled["seconds"]
    # Calls that cost nothing are counted too, refused ones included.
    [records] = world.rows("SELECT SUM(1 + further_calls) AS calls, SUM(duration = 0) AS free FROM cdrs")
    assert calls.total() == records["calls"] > records["free"] > 0


def test_months_are_those_of_utc() -> None:
    for text, days in (("2026-02", 28), ("2028-02", 29), ("2026-11", 30), ("2026-12", 31)):
        span = month(text)
        assert rfc3339(span.since) == f"{text}-01T00:00:00.000Z"
        assert span.until - span.since == days * DAY_MS
        pieces = list(span.by_day())
        assert len(pieces) == days
        assert (pieces[0].since, pieces[-1].until) == (span.since, span.until)
        assert datetime.fromtimestamp(span.until / 1000, UTC).day == 1
    assert [month_from(text) for text in ("2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "", "0000-01")] == [
        None
    ] * 7
