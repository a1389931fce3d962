"""Pairs of the tests: their participants, how they are booked, and calls of participants and strangers."""

from dataclasses import dataclass
from typing import Any

from engine.bookings import shared_numbers
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.booking import Booking, CallerId
from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS, E164, NumberState
from engine.domain.pairs import Participant
from engine.domain.policy import UsagePlan
from engine.domain.prompts import Prompt
from engine.domain.rejections import Reason, Reject
from engine.domain.routing import AskPin, Bridge, Preparation, RouteDecision
from tests.contract.samples import HIDDEN, OTHER_HIDDEN, SECOND
from tests.contract.world import POOL, World

ANN, BEN = HIDDEN, OTHER_HIDDEN
EVE = E164("+32470999001")
SHARED = E164(POOL[0])
WRONG = "00000000"


async def share(world: World, *numbers: str) -> None:
    for number in numbers:
        assert (await world.storage.run(shared_numbers.share, number)).state == NumberState.SHARED


async def pair(world: World, one: E164 = ANN, other: E164 = BEN, **more: Any) -> Booking:
    participants = (Participant(one, "Ann"), Participant(other))
    more = {"plan": UsagePlan.MEDIUM, "caller_id": CallerId.SERVICE} | more
    return await world.book(destination=None, participants=participants, **more)


async def with_pins(world: World, one: E164 = ANN, other: E164 = BEN, **more: Any) -> tuple[Booking, str, str]:
    """Books a pair. Returns it with both PINs."""
    booking = await pair(world, one, other, pins=True, **more)
    assert booking.destination_pin is not None
    assert booking.partner_pin is not None
    return booking, booking.destination_pin, booking.partner_pin


async def asked(
    world: World, service: E164, call_id: str, asserted: E164 | None, shown: str | None = None
) -> RouteDecision:
    world.now += SECOND
    incoming = IncomingCall(CallId(call_id), service, shown or asserted or ANONYMOUS, asserted=asserted)
    decision = await world.storage.run(calls.route_call, incoming, world.at, world.policy)
    assert isinstance(decision, Bridge | Reject)
    return decision


def is_stranger(decision: RouteDecision) -> bool:
    """Whether a caller got the same answer as at an unknown number."""
    return isinstance(decision, Reject) and (decision.cause, decision.disposition) == (1, None)


@dataclass
class Phone:
    """Calls of somebody, each with at most one PIN."""

    world: World
    ids: Any

    async def call(
        self,
        pin: str | None = None,
        asserted: E164 | None = None,
        shown: str = ANONYMOUS,
        service: str = SHARED,
        call_id: str | None = None,
        **more: Any,
    ) -> RouteDecision:
        incoming = IncomingCall(
            CallId(call_id or f"p{next(self.ids)}"),
            E164(service),
            shown,
            asserted=asserted,
            **{"can_enter_pin": True, "pin": pin} | more,
        )
        decision = await self.world.storage.run(calls.route_call, incoming, self.world.at, self.world.policy)
        assert not isinstance(decision, Preparation)
        return decision

    async def reaches(self, pin: str | None = None, **how: Any) -> E164 | Reason | Prompt | None:
        """Makes a call that ends at once. Returns the number that it reaches, why it is refused, or its prompt."""
        call_id = f"p{next(self.ids)}"
        decision = await self.call(pin, call_id=call_id, **how)
        if isinstance(decision, AskPin):
            return decision.prompt
        if isinstance(decision, Reject):
            return decision.reason
        await self.world.ended(CallId(call_id), 0, "BUSY")
        return decision.destination
