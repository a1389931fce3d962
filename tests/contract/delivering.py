"""Writes, starts and records callbacks as the worker does, with a clock that a test moves."""

from dataclasses import replace
from typing import Any

from engine.callbacks.fair_queue import Turn
from engine.callbacks.outbox import DeliveryReport, accounts_waiting, begin_all, line_up, post, record
from engine.callbacks.slots import Pool, QueuedCallback, Standing
from engine.domain.booking import Booking
from engine.domain.policy import UsagePlan
from engine.domain.retry import GiveUp, HttpAnswer, RetryDecision, WhyDisabled
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery
from tests.contract.samples import CALLBACK, DAY
from tests.contract.world import World

FIVE_DAYS = 5 * DAY
OK, BAD, GONE = HttpAnswer(204), HttpAnswer(503), HttpAnswer(410)


async def posted(world: World, count: int = 1, url: str = CALLBACK) -> Booking:
    booking = await world.book(UsagePlan.MEDIUM)
    booking = replace(booking, callback=url)
    for _ in range(count):
        await world.storage.run(post, booking, {"bookingId": booking.id}, world.now)
    return booking


async def lined_up(world: World, limit: int = 1_000, hold_ms: int = 1) -> list[QueuedCallback]:
    """Reserves callbacks of all accounts that are due."""
    accounts = [account_id for account_id, _ in await world.storage.run(accounts_waiting, "", 100)]
    found = await world.storage.run(line_up, accounts, world.now, EpochMs(world.now + hold_ms), limit)
    return [callback for callback, _ in found.callbacks]


async def begun(world: World) -> list[Delivery]:
    """Starts all callbacks that are due."""
    turns = [Turn(callback, None, Pool(Standing.QUICK, 1)) for callback in await lined_up(world)]
    made = await world.storage.run(begin_all, turns, world.now, world.now + 1)
    return [delivery for delivery in made if delivery is not None]


async def recorded(
    world: World, delivery: Delivery, outcome: Any, decision: RetryDecision, response: str = ""
) -> WhyDisabled | None:
    tried = DeliveryReport(outcome, response, world.now, 12)
    return await world.storage.run(record, delivery, tried, decision, world.now, FIVE_DAYS)


async def tried_once(world: World, outcome: Any, decision: RetryDecision) -> WhyDisabled | None:
    [delivery] = await begun(world)
    return await recorded(world, delivery, outcome, decision)


def states(world: World) -> list[str]:
    return [row["state"] for row in world.rows("SELECT state FROM outbox ORDER BY id")]


def endpoint(world: World, url: str = CALLBACK) -> dict[str, Any]:
    [row] = world.rows("SELECT * FROM callback_endpoints WHERE url = ?", url)
    return row


async def disabled(world: World, held: int) -> str:
    """Returns the id of an endpoint that answered 410 and has later callbacks waiting."""
    await posted(world)
    await tried_once(world, GONE, GiveUp())
    await posted(world, held)
    assert await begun(world) == []
    return str(endpoint(world)["id"])
