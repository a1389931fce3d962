"""Fifty pairs on one number, any callers and PINs: nobody ever reaches another pair's party. A seed draws the steps."""

import random
from dataclasses import replace
from itertools import count

import pytest

from engine.bookings import shared_numbers
from engine.bookings.swapping import swap_number
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.booking import Booking, CallerId
from engine.domain.directions import Direction
from engine.domain.errors import NoNumberFree, NumberNotFree
from engine.domain.ids import CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.pairs import PIN_TRY_MS, Participant
from engine.domain.policy import UsagePlan
from engine.domain.rejections import Reason, Reject
from engine.domain.routing import AskPin, Bridge
from tests.contract.world import POOL, World

PAIRS, STEPS = 50, 250
PEOPLE = [E164(f"+324701300{n:02}") for n in range(100)]
STRANGERS = [E164(f"+324701400{n:02}") for n in range(5)]


class Crowd:
    """People and their pairs, by a model of its own: on each number, whom each person reaches."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.choose = world, random.Random(seed)
        self.reach: dict[str, dict[str, E164]] = {number: {} for number in POOL[:2]}
        self.resting: set[tuple[str, str]] = set()
        # On each number: for whom each PIN stands. Those of pairs that are gone stay known to people.
        self.pins: dict[str, dict[str, E164]] = {number: {} for number in POOL[:2]}
        self.old_pins: list[str] = []
        self.by_pin = 0
        self.pairs: list[Booking] = []
        self.ids = count()
        self.calls = 0

    async def book(self, one: E164, other: E164, service: str) -> None:
        free = all(
            person not in self.reach[service] and (service, person) not in self.resting for person in (one, other)
        )
        try:
            booking = await self.world.book(
                UsagePlan.LARGE,
                None,
                participants=(Participant(one), Participant(other)),
                caller_id=CallerId.SERVICE,
                pins=self.choose.random() < 0.8,
                wanted=NumberRequest(service=E164(service)),
            )
        except NumberNotFree:
            assert not free
            return
        assert free
        self._holds(booking)

    def _holds(self, booking: Booking) -> None:
        self.pairs.append(booking)
        assert booking.partner is not None
        here = self.reach[booking.service]
        here[booking.destination], here[booking.partner] = booking.partner, booking.destination
        if booking.destination_pin is not None and booking.partner_pin is not None:
            pins = self.pins[booking.service]
            assert not {booking.destination_pin, booking.partner_pin} & pins.keys()
            pins[booking.destination_pin], pins[booking.partner_pin] = booking.destination, booking.partner

    def _leaves(self, booking: Booking) -> None:
        self.pairs.remove(booking)
        for person in (booking.destination, booking.partner):
            del self.reach[booking.service][str(person)]
            self.resting.add((booking.service, str(person)))
        for pin in (booking.destination_pin, booking.partner_pin):
            if pin is not None:
                del self.pins[booking.service][pin]
                self.old_pins.append(pin)

    async def cancel(self) -> None:
        booking = self.choose.choice(self.pairs)
        await self.world.cancel(booking)
        self._leaves(booking)

    async def swap(self) -> None:
        world, booking = self.world, self.choose.choice(self.pairs)
        try:
            swapped = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
        except NoNumberFree:
            return
        self._leaves(booking)
        self._holds(swapped)

    async def call(self, asserted: E164 | None, shown: str, service: str, pin: str | None = None) -> None:
        """Calls, with a PIN if the engine asks for one. So much time passes that no number is closed to PINs."""
        self.world.now += PIN_TRY_MS
        self.calls += 1
        call_id = CallId(f"c{next(self.ids)}")
        incoming = IncomingCall(call_id, E164(service), shown, asserted=asserted, can_enter_pin=True)
        decision = await self.world.storage.run(calls.route_call, incoming, self.world.at, self.world.policy)
        expected = self.reach[service].get(asserted or "")
        assert isinstance(decision, AskPin) == (expected is None and bool(self.pins[service]))
        if isinstance(decision, AskPin):
            incoming = replace(incoming, pin=pin)
            decision = await self.world.storage.run(calls.route_call, incoming, self.world.at, self.world.policy)
            expected = self.reach[service].get(self.pins[service].get(pin or "", ""))
            self.by_pin += expected is not None
            if expected is None:
                assert isinstance(decision, AskPin), "a wrong PIN was taken"
                return
        if expected is None:
            assert isinstance(decision, Reject), "a stranger reached somebody"
            assert decision.reason is (Reason.NOT_A_PARTICIPANT if self.reach[service] else Reason.NO_BOOKING)
            return
        assert isinstance(decision, Bridge)
        assert (decision.destination, decision.shown, decision.direction) == (expected, service, Direction.PAIR)
        await self.world.ended(call_id, 0, "BUSY")

    async def call_at_random(self) -> None:
        person = self.choose.choice([*PEOPLE, *STRANGERS])
        asserted = self.choose.choice([person, person, person, None])
        shown = self.choose.choice([person, ANONYMOUS, self.choose.choice(PEOPLE), "112"])
        service = self.choose.choice(POOL[:2])
        pins = [*self.pins[self.choose.choice(POOL[:2])], *self.old_pins, "00000000"]
        pin = self.choose.choice([None, self.choose.choice(pins), *self.choose.sample(pins, 1)])
        await self.call(asserted, shown, service, pin)


@pytest.mark.parametrize("seed", [20_261_130])
async def test_fifty_pairs_on_one_number_and_any_callers_misroute_nobody(world: World, seed: int) -> None:
    world.policy = replace(world.policy, speaks=True)
    for number in POOL[:2]:
        await world.storage.run(shared_numbers.share, number)
    crowd = Crowd(world, seed)
    for one, other in zip(PEOPLE[::2], PEOPLE[1::2], strict=True):
        await crowd.book(one, other, POOL[0])
    assert len(crowd.pairs) == PAIRS
    for person in (*PEOPLE, *STRANGERS):
        await crowd.call(person, person, POOL[0])
    for pin in list(crowd.pins[POOL[0]]):
        await crowd.call(None, crowd.choose.choice(PEOPLE), POOL[0], pin)
    for _ in range(STEPS):
        step = crowd.choose.random()
        if step < 0.05 and crowd.pairs:
            await crowd.cancel()
        elif step < 0.1 and crowd.pairs:
            await crowd.swap()
        elif step < 0.25:
            one, other = crowd.choose.sample(PEOPLE, 2)
            await crowd.book(one, other, crowd.choose.choice(POOL[:2]))
        else:
            await crowd.call_at_random()
    figures = f"{crowd.calls} calls, {crowd.by_pin} of them put through by a PIN, {len(crowd.pairs)} pairs in the end"
    print(f"\nmisroutes 0 / {figures}")  # noqa: T201  the figures
    assert crowd.calls > len(PEOPLE) + STEPS // 2
    assert crowd.by_pin > PAIRS
