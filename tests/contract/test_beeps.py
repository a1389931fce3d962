"""Which calls beep before their end, and when: by the books, once in a minute, and at no cost for all others."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from panoramisk.message import Message

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.beeps import BOOKED_MS, SHORTEST_WAIT_SECONDS, Beeps
from engine.asterisk.call_variables import BEEP, BEEPED, DYNAMIC_FEATURES
from engine.asterisk.errors import AmiUnavailable
from engine.asterisk.keepership import Keepership
from engine.calls.lease_rebalancing import limits_on
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, Timestamp
from tests.contract.world import World, outsider

MINUTE, SECOND = 60_000, 1_000
CALL = CallId("c1")


class Link(AmiLink):
    """Notes what it is asked to do. It is a link only by name: it has no connection."""

    def __init__(self, features: str) -> None:
        self.variables = {DYNAMIC_FEATURES: features}
        self.actions: list[str] = []
        self.is_away = False

    @property
    def is_up(self) -> bool:
        return True

    async def action(self, name: str, **fields: str) -> Message:
        if self.is_away:
            raise AmiUnavailable("away")
        self.actions.append(" ".join([name, *(fields[key] for key in ("Digit",) if key in fields)]))
        if name == "Setvar":
            self.variables[fields["Variable"]] = fields["Value"]
        return Message({"Response": "Success", "Value": self.variables.get(fields.get("Variable", ""), "")})

    @property
    def beeps(self) -> int:
        """How often both sides have beeped."""
        digits = [each for each in self.actions if each.startswith("PlayDTMF")]
        assert digits == ["PlayDTMF C", "PlayDTMF D"] * (len(digits) // 2)
        return len(digits) // 2


@dataclass
class Clock:
    world: World

    def now(self) -> EpochMs:
        return self.world.now

    def timestamp(self) -> Timestamp:
        return self.world.at


@dataclass
class Beeping:
    """One talking call, and what beeps in it."""

    world: World
    booking: Booking
    link: Link
    beeps: Beeps = field(init=False)

    def __post_init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self.beeps = Beeps(self.world.storage, self.link, Clock(self.world), Keepership(), MINUTE / 1000)

    async def left(self, milliseconds: int) -> int:
        """Looks when so many milliseconds of the call are left. Returns how often it has beeped by then."""
        self.world.now = EpochMs(self.world.now + await self.world.left_ms(CALL) - milliseconds)
        await self.beeps.look()
        return self.link.beeps


async def _talking(world: World, *, features: str = BEEP, beep: bool = True) -> Beeping:
    world.policy = replace(world.policy, longest_call_seconds=600)
    booking = await world.book(UsagePlan.MEDIUM, beep=beep)
    await world.bridge(booking, CALL)
    await world.answered(CALL)
    return Beeping(world, booking, Link(features))


async def test_a_call_beeps_once_when_a_minute_is_left(world: World) -> None:
    call = await _talking(world)
    for left, beeps in (
        (100_000, 0),
        (MINUTE + 1, 0),
        (MINUTE, 1),
        (MINUTE - 100, 1),
        (30_000, 1),
        (10_000, 1),
        (1, 1),
    ):
        assert (left, await call.left(left)) == (left, beeps)


async def test_a_call_that_goes_on_beeps_again_but_not_within_a_minute(world: World) -> None:
    call = await _talking(world)
    assert await call.left(MINUTE) == 1
    await world.renew(call.booking, UsagePlan.MEDIUM)
    await world.share(call.booking.id)
    assert await call.left(MINUTE) == 2


async def test_an_engine_that_begins_finds_what_is_due_and_what_has_beeped(world: World) -> None:
    call = await _talking(world)
    call.link.is_away = True
    assert await call.left(MINUTE) == 0
    call.link.is_away = False
    call.begin_anew()
    assert await call.left(MINUTE - 8 * SECOND) == 1
    call.begin_anew()
    assert await call.left(MINUTE - 20 * SECOND) == 1


async def test_a_beep_that_asterisk_did_not_take_is_tried_again(world: World) -> None:
    call = await _talking(world)
    call.link.is_away = True
    assert await call.left(MINUTE) == 0
    call.link.is_away = False
    assert await call.left(50_000) == 1


async def test_without_the_beep_asterisk_is_asked_nothing(world: World) -> None:
    call = await _talking(world, beep=False)
    for left in (MINUTE, 30_000, 10_000):
        assert await call.left(left) == 0
    assert call.link.actions == []


@pytest.mark.parametrize("features", ["", "another"])
async def test_a_call_that_came_in_without_the_beep_gets_no_digit(world: World, features: str) -> None:
    call = await _talking(world, features=features)
    assert await call.left(MINUTE) == 0
    asked = len(call.link.actions)
    assert await call.left(50_000) == 0
    assert len(call.link.actions) == asked
    assert BEEPED not in call.link.variables


async def test_the_end_of_its_booking_is_the_end_of_a_call(world: World) -> None:
    call = await _talking(world)
    with outsider(world.database) as connection:
        connection.execute(f"UPDATE bookings SET end_at = {world.now + 2 * MINUTE}")  # noqa: S608  a test's own
    assert await world.left_ms(CALL) == 2 * MINUTE
    assert await call.left(MINUTE + 1) == 0
    assert await call.left(MINUTE) == 1


async def test_a_limit_that_falls_is_looked_at_at_once(world: World) -> None:
    call, stop = await _talking(world), asyncio.Event()
    # Two more calls will share the last 100 seconds with it.
    assert await call.left(100 * SECOND) == 0
    for other in ("c2", "c3"):
        await world.bridge(call.booking, other)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(call.beeps.run(stop))
        await asyncio.sleep(SHORTEST_WAIT_SECONDS)
        for limit in await world.storage.run(limits_on, call.booking.id, world.at):
            assert limit.left_ms < MINUTE
            call.beeps.moved(limit)
        world.now = EpochMs(world.now + BOOKED_MS)
        while not call.link.beeps:  # noqa: ASYNC110  a count, and nothing that could be waited for
            await asyncio.sleep(0.01)
        stop.set()
