"""A sandbox of the account of a contract test, and what tests do in it."""

from dataclasses import dataclass
from typing import Any, Self

from engine.accounts.accounts import sandbox_of
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.cdr.ledger import audit_page
from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import EpochMs
from engine.sandbox.clock import advance_clock, sweep_sandbox_of
from engine.sandbox.simulation import Simulation, simulate_call
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, START
from tests.contract.world import World


@dataclass
class Trial:
    """`around.now` is the machine's clock."""

    around: World
    account: str

    @classmethod
    async def begin(cls, around: World, account: str | None = None) -> Self:
        made = await around.storage.run(sandbox_of, AccountId(account or around.account), START)
        return cls(around, made.id)

    async def now(self) -> int:
        found = await self.around.storage.run(lambda tx: tx.sandboxes.of(AccountId(self.account)))
        assert found is not None
        return found.now(self.around.now)

    async def book(self, plan: UsagePlan = UsagePlan.MEDIUM, **changes: Any) -> Booking:
        request = BookingRequest(AccountId(self.account), HIDDEN, plan, CALLBACK, **changes)
        return await self.around.storage.run(bookings.book, request, EpochMs(await self.now()), self.around.policy)

    async def call(
        self,
        service: E164,
        outcome: Outcome = Outcome.BUSY,
        seconds: int = 0,
        source: str = CALLER,
        direction: Direction = Direction.FORWARD,
    ) -> Simulation:
        asked = SimulatedCall(service, source, outcome, seconds, direction=direction)
        around = self.around
        return await around.storage.run(simulate_call, AccountId(self.account), asked, around.at, around.policy)

    async def talk(self, booking: Booking, seconds: int) -> Simulation:
        return await self.call(booking.service, Outcome.ANSWERED, seconds)

    async def advance(self, milliseconds: int) -> int:
        """Advances the sandbox's clock as POST /test/clock does."""
        around = self.around
        now = await around.storage.run(advance_clock, AccountId(self.account), milliseconds, around.now)
        while await around.storage.run(sweep_sandbox_of, AccountId(self.account), around.now, around.policy):
            pass
        return now

    async def discrepancies(self) -> list[str]:
        return [each.rule for each in (await self.around.storage.run(audit_page)).discrepancies]
