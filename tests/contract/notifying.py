"""Common start of the tests of events: an account that has chosen every event, and the events it received."""

import json
from dataclasses import replace
from typing import Any

from engine.callbacks import notifications
from engine.domain.notifications import EventType
from engine.domain.policy import Allowance, UsagePlan
from tests.contract.samples import DAY, POLICY
from tests.contract.world import World

TEN_MINUTES = {UsagePlan.SMALL: Allowance(600, 100, 7 * DAY), UsagePlan.MEDIUM: Allowance(600, 2, 7 * DAY)}
EVENT_POLICY = replace(POLICY, plans=TEN_MINUTES, longest_call_seconds=600)
Body = dict[str, Any]


async def choose(world: World, *events: EventType) -> None:
    await world.storage.run(notifications.choose_events, world.account, events)


def reported(world: World, kind: EventType | None = None) -> list[Body]:
    """Returns events in the order of creation: those of the kind, or all, also those that have no type."""
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    return [body for body in bodies if kind is None or body.get("type") == kind]


def kinds(world: World) -> list[str | None]:
    return [body.get("type") for body in reported(world)]


async def sweep(world: World) -> None:
    await notifications.notify_all_due(world.storage, world.now, world.policy)
    await world.sweep()
