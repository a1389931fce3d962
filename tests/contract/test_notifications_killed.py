"""Killed just before or just after the commit of an event, and repeated: it is reported exactly once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.callbacks import notifications
from engine.domain.booking import Booking
from engine.domain.events import EventType
from engine.domain.ids import CallId
from engine.runtime.failpoints import VARIABLE
from tests.contract.notifications_victim import FLOOD, RULES, STEPS
from tests.contract.samples import SECOND
from tests.contract.world import World

ROOT = Path(__file__).parents[2]
LATER = 10 * SECOND


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


@pytest.mark.parametrize("point", ["notify_due before commit", "notify_due committed"])
async def test_an_expired_booking_is_reported_once(world: World, booking: Booking, point: str) -> None:
    world.now = booking.end_at
    await die_at(world, "tell", point)
    assert kinds(world) == ["booking.expired"]


@pytest.mark.parametrize("point", ["sweep before commit", "sweep committed"])
async def test_a_gone_booking_is_reported_once(world: World, booking: Booking, point: str) -> None:
    world.now = booking.end_at + RULES.grace_ms
    await die_at(world, "clean_up", point)
    assert kinds(world) == ["booking.gone"]


@pytest.mark.parametrize("point", ["begin_talk before commit", "begin_talk committed"])
async def test_a_started_call_is_reported_once(world: World, booking: Booking, point: str) -> None:
    await world.bridge(booking, "c1")
    await die_at(world, "answer", point)
    assert kinds(world) == ["call.started"]


@pytest.mark.parametrize("point", ["call_ended before commit", "call_ended committed"])
async def test_low_credit_is_reported_once_with_the_end_of_the_call(world: World, booking: Booking, point: str) -> None:
    await world.bridge(booking, "c1")
    await world.answered(CallId("c1"))
    await die_at(world, "end", point)
    assert kinds(world) == ["call.started", None, "booking.low_seconds"]


@pytest.mark.parametrize("point", ["call_ended before commit", "call_ended committed"])
async def test_a_missed_call_is_reported_once(world: World, booking: Booking, point: str) -> None:
    await world.bridge(booking, "c1")
    await die_at(world, "miss", point)
    assert kinds(world) == ["call.missed"]


@pytest.mark.parametrize("point", [f"route_call before commit:{FLOOD // 2}", f"route_call committed:{FLOOD // 2}"])
async def test_a_flood_is_counted_whole(world: World, booking: Booking, point: str) -> None:
    world.now = booking.end_at
    await die_at(world, "flood", point)
    assert len(world.rows("SELECT id FROM cdrs")) == FLOOD
    assert kinds(world) == [None] * RULES.notices.expired_callbacks
    [counted] = world.rows("SELECT told, not_told FROM expired_calls")
    assert counted == {"told": 10, "not_told": FLOOD - 10}
