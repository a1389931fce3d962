"""Writes, starts and records callbacks as the worker does, with a clock that a test moves."""

from dataclasses import replace
from typing import Any

from engine.callbacks.fair_queue import QueuedCallback, receiver_of
from engine.callbacks.outbox import DeliveryReport, begin_all, line_up, post, record
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


async def begun(world: World) -> list[Delivery]:
    """Starts all callbacks that are due."""
    found = await world.storage.run(line_up, world.now, EpochMs(world.now + 1), 1_000)
    chosen = [QueuedCallback(due.event_id, receiver_of(due.url), due.attempts, due.account_id) for due in found.due]
    made = await world.storage.run(begin_all, chosen, world.now + 1)
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
