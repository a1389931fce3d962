"""Killed just before or just after the commit of an event, and repeated: it is reported exactly once."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.callbacks import notifications
from engine.cdr.refused import OWN_RECORDS
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from engine.runtime.failpoints import VARIABLE
from tests.contract.notifications_victim import FLOOD, RULES, STEPS
from tests.contract.samples import SECOND
from tests.contract.world import World

pytestmark = pytest.mark.sqlite_only

ROOT = Path(__file__).parents[2]
LATER = 10 * SECOND
Preparation = Callable[[World, Booking], Awaitable[None]]


@pytest.fixture
async def booking(world: World) -> Booking:
    world.policy = RULES
    await world.storage.run(notifications.choose_events, world.account, list(EventType))
    await notifications.notify_all_due(world.storage, world.now, world.policy)
    return await world.book()


def killed_at(world: World, step: str, point: str) -> int:
    command = [sys.executable, "-m", "tests.contract.notifications_victim", str(world.database), step, str(world.now)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: point}, check=False).returncode


async def die_at(world: World, step: str, point: str) -> None:
    """Runs the step in a process that is killed there, and then again in this one."""
    assert killed_at(world, step, point) == -9, "it was not killed"
    world.now += LATER
    for _ in range(2):
        await STEPS[step](world.storage, world.at)


def kinds(world: World) -> list[str | None]:
    return [json.loads(row["body"]).get("type") for row in world.rows("SELECT body FROM outbox ORDER BY id")]


async def reach_its_end(world: World, booking: Booking) -> None:
    world.now = booking.end_at


async def reach_the_end_of_its_grace(world: World, booking: Booking) -> None:
    world.now = booking.end_at + RULES.grace_ms


async def ring(world: World, booking: Booking) -> None:
    await world.bridge(booking, "c1")


async def talk(world: World, booking: Booking) -> None:
    await world.bridge(booking, "c1")
    await world.answered(CallId("c1"))


@pytest.mark.parametrize("moment", ["before commit", "committed"])
@pytest.mark.parametrize(
    ("prepare", "step", "command", "reported"),
    [
        (reach_its_end, "notify", "notify_due", ["booking.expired"]),
        (reach_the_end_of_its_grace, "clean_up", "sweep", ["booking.gone"]),
        (ring, "answer", "note_answer", ["call.started"]),
        (talk, "end", "call_ended", ["call.started", None, "booking.low_seconds"]),
        (ring, "miss", "call_ended", ["call.missed"]),
    ],
    ids=["booking expired", "booking gone", "call started", "low credit at the end of a call", "call missed"],
)
async def test_an_event_whose_step_is_killed_and_repeated_is_reported_once(
    world: World,
    booking: Booking,
    prepare: Preparation,
    step: str,
    command: str,
    reported: list[str | None],
    moment: str,
) -> None:
    await prepare(world, booking)
    await die_at(world, step, f"{command} {moment}")
    assert kinds(world) == reported


@pytest.mark.parametrize("point", [f"route_call before commit:{FLOOD // 2}", f"route_call committed:{FLOOD // 2}"])
async def test_a_flood_is_counted_whole(world: World, booking: Booking, point: str) -> None:
    world.now = booking.end_at
    await die_at(world, "flood", point)
    assert world.rows("SELECT COUNT(*) AS own, SUM(1 + further_calls) AS calls FROM cdrs") == [
        {"own": OWN_RECORDS, "calls": FLOOD}
    ]
    assert kinds(world) == [None] * RULES.notifications.expired_callbacks
    [counted] = world.rows("SELECT told, not_told FROM expired_calls")
    assert counted == {"told": 10, "not_told": FLOOD - 10}
