"""Costs by day and booking, and by month and number, add up to the grants, whatever prices change to later."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from api.resources.usage import CostBody, usage_of
from engine.accounts.accounts import create_account
from engine.bookings.adjustments import Adjustment, adjust
from engine.bookings.lifecycle import Renewal, cancel, renew
from engine.bookings.swapping import swap_number
from engine.cdr.report import report_lines
from engine.domain.booking import Booking
from engine.domain.errors import NoNumberFree
from engine.domain.ids import AccountId, CallId
from engine.domain.money import Money
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import DAY_MS, EpochMs, Span, month_from, rfc3339
from engine.runtime.ids import new_id
from engine.storage.operator_reads import OperatorReads
from engine.storage.reads import Reads
from tests.contract.samples import HOUR, START
from tests.contract.world import World

PLAN = UsagePlan.LARGE
PRICES = (None, Money(0, "EUR"), Money(990, "EUR"), Money(10**12, "EUR"), Money(1_200, "JPY"))


class Shop:
    """Two accounts that book, renew, swap and delete at prices that change, and what each must pay for what."""

    def __init__(self, world: World, accounts: list[AccountId], seed: int) -> None:
        self.world, self.accounts, self.chance = world, accounts, random.Random(seed)
        self.held = list[Booking]()
        self.days = Counter[tuple[AccountId, str, str, str]]()
        self.numbers = Counter[tuple[AccountId, E164, str, str]]()

    async def step(self) -> None:
        prices = dict(self.world.policy.plans)
        prices[PLAN] = replace(prices[PLAN], price=self.chance.choice(PRICES))
        self.world.policy = replace(self.world.policy, plans=prices)
        self.world.now += self.chance.choice([0, HOUR, 5 * HOUR])
        steps = {self.book: 3, self.renew: 4, self.swap: 1, self.give: 1, self.delete: 1, self.call: 2}
        await self.chance.choices(list(steps), list(steps.values()))[0]()

    async def book(self) -> None:
        with suppress(NoNumberFree):
            self.held.append(await self.world.book(PLAN, account=self.chance.choice(self.accounts)))
            self._pays(self.held[-1])

    async def renew(self) -> None:
        for booking in self._one():
            args = booking.account_id, booking.id, Renewal(PLAN), self.world.now, self.world.policy
            await self.world.storage.run(renew, *args)
            self._pays(booking)

    async def swap(self) -> None:
        for booking in self._one():
            with suppress(NoNumberFree):
                args = booking.account_id, booking.id, self.world.now, self.world.policy
                self.held[self.held.index(booking)] = await self.world.storage.run(swap_number, *args)

    async def give(self) -> None:
        for booking in self._one():
            gift = Adjustment(new_id("grt"), booking.id, self.chance.choice([60, -60]), 1, "a trial")
            await self.world.storage.run(adjust, gift, self.world.at, self.world.policy)

    async def delete(self) -> None:
        for booking in self._one():
            self.held.remove(booking)
            await self.world.storage.run(cancel, booking.account_id, booking.id, self.world.now, self.world.policy)

    async def call(self) -> None:
        for booking in self._one():
            await self.world.talk(booking, CallId(new_id("call")), 1_500)

    def _one(self) -> list[Booking]:
        return [self.chance.choice(self.held)] if self.held else []

    def _pays(self, booking: Booking) -> None:
        price = self.world.policy.plans[PLAN].price
        if price is not None:
            instant = rfc3339(self.world.now)
            self.days[booking.account_id, instant[:10], booking.id, price.currency] += price.amount
            self.numbers[booking.account_id, booking.service, instant[:7], price.currency] += price.amount


@pytest.mark.parametrize("seed", range(2))
async def test_costs_are_the_prices_of_the_moment_whatever_follows(world: World, seed: int) -> None:
    world.policy = replace(world.policy, quarantine_ms=HOUR, quarantine_silence_ms=HOUR, horizon_ms=10_000 * DAY_MS)
    accounts = [world.account, (await world.storage.run(create_account, "Bob", world.now)).id]
    shop = Shop(world, accounts, seed)
    for _ in range(80):
        await shop.step()
        await world.sweep()
    assert len(shop.held) < len({booking for _, _, booking, _ in shop.days}), "some bookings are gone"
    assert {currency for *_, currency in shop.days} == {"EUR", "JPY"}
    span = Span(EpochMs(START - START % DAY_MS + HOUR), EpochMs(world.now + 1))
    async with Reads(world.database) as reads:
        answers = {account: await usage_of(reads, account, span) for account in accounts}
    assert shop.days == {
        (account, line.day, line.booking_id, each.currency): each.amount
        for account, answer in answers.items()
        for line in answer.data
        for each in line.cost
    }
    granted = world.rows(
        "SELECT b.account_id, g.currency, SUM(g.price) AS amount FROM grants AS g JOIN bookings AS b "
        "ON b.id = g.booking_id WHERE g.price IS NOT NULL GROUP BY b.account_id, g.currency ORDER BY g.currency"
    )
    for account, answer in answers.items():
        assert answer.cost == [
            CostBody(amount=row["amount"], currency=row["currency"]) for row in granted if row["account_id"] == account
        ]
    reported = {}
    async with OperatorReads(world.database) as operator:
        for text in {month for _, _, month, _ in shop.numbers}:
            month = month_from(text)
            assert month is not None
            async for line in report_lines(operator, accounts, month):
                for each in line.cost:
                    reported[line.account_id, line.number, text, each.currency] = each.amount
    assert shop.numbers == reported
