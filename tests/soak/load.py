"""The load of a soak test: calls and rounds of API requests in an open loop.

A fixed number begins in each second, whatever happened to earlier ones. A fake Asterisk lists its live channels, and
reports answers and ends.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from agi_scripts.dialplan import BOOKING, CAUSE, ROUTE
from agi_scripts.request_auth import request_mac
from bench.system import BenchSystem
from engine.asterisk.call_variables import SECONDS, VERDICT
from tests.integration import fake_reports
from tests.integration.fake_asterisk import ALLOWED, AgiCall, Channel
from tests.integration.fake_channels import FakeChannels, UpCall
from tests.soak.customer import BLOCKED, Booking, Customer, Unexpected
from tests.soak.plan import KINDS, Kind, Wanted

RING_SECONDS = 0.2
CAUSES = {Kind.EXPIRED: "22", Kind.BLOCKED: "21", Kind.UNKNOWN: "1"}
UNKNOWN_NUMBER = "+3229999999"
MOST_COMPLAINTS = 20


class Load:
    """The load. `counts` are calls by kind; `complaints` are the first errors."""

    def __init__(self, system: BenchSystem, wanted: Wanted, ami: FakeChannels, customer: Customer) -> None:
        self.counts: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._port = system.settings.fastagi_port
        self._token = system.token
        self._wanted = wanted
        self._ami = ami
        self._spool = system.settings.journal
        self._customer = customer

    async def run(self, seconds: float) -> None:
        """Begins calls and requests for this time, and waits until all have ended."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._begin_each(1 / self._wanted.rate, seconds, self._call))
            tasks.create_task(self._begin_each(1 / self._wanted.requests, seconds, self._customer.make_round))

    async def _begin_each(self, every: float, seconds: float, act: Callable[[int], Awaitable[None]]) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(seconds / every)):
                await asyncio.sleep(max(0.0, began + number * every - time.monotonic()))
                tasks.create_task(self._noted(act, number))

    async def _noted(self, act: Callable[[int], Awaitable[None]], number: int) -> None:
        try:
            await act(number)
        except (Unexpected, OSError, TimeoutError, AssertionError) as error:
            self.counts["failed"] += 1
            if len(self.complaints) < MOST_COMPLAINTS:
                self.complaints.append(f"{type(error).__name__}: {error}"[:300])

    async def _call(self, number: int) -> None:
        kind = KINDS[self.counts["calls"] % len(KINDS)]
        self.counts["calls"] += 1
        service, own = await self._dialled(kind, number)
        if service is None:
            return  # no booking has expired yet
        caller = BLOCKED if kind is Kind.BLOCKED else f"+1415{number % 10_000_000:07}"
        call_id = f"soak{time.time_ns() // 1_000_000}-{number}.1"
        channel = await self._ask(ROUTE, call_id, service, caller, ALLOWED, "", "")
        verdict = channel.variables.get(VERDICT)
        if verdict != ("BRIDGE" if kind.let_through else "REJECT") or (
            not kind.let_through and channel.variables[CAUSE] != CAUSES[kind]
        ):
            raise Unexpected(f"{kind.name}: {channel.variables}")
        if kind.let_through:
            await self._go_through(kind, call_id, channel, number, own)
        self.counts[kind.name] += 1

    async def _dialled(self, kind: Kind, number: int) -> tuple[str | None, Booking | None]:
        """Returns the number to dial, and the booking if it was made for this call only."""
        if kind is Kind.UNKNOWN:
            return UNKNOWN_NUMBER, None
        if kind is Kind.EXPIRED:
            expired = self._customer.expired()
            return None if expired is None else expired.service, None
        if kind is Kind.DELETED:
            own = await self._customer.book()
            return own.service, own
        standing = self._customer.standing
        return standing[number % len(standing)].service, None

    async def _go_through(self, kind: Kind, call_id: str, channel: Channel, number: int, own: Booking | None) -> None:
        booking = channel.variables[BOOKING]
        up = self._ami.up[call_id] = UpCall(call_id, float(channel.variables[SECONDS]))
        try:
            await asyncio.sleep(RING_SECONDS)
            status, talked = {Kind.BUSY: "BUSY", Kind.NO_ANSWER: "NOANSWER", Kind.CANCELLED: "CANCEL"}.get(kind, ""), ""
            if not status:
                limit = self._ami.limited(call_id)
                await self._ami.report(
                    fake_reports.answered(call_id, booking, up.callee, limit, _now(), token=self._token)
                )
                began = time.monotonic()
                await asyncio.sleep(self._wanted.talk * (1 + number % 10) / 10)
                if own:
                    await self._customer.delete(own.id)
                status, talked = "ANSWER", str(int((time.monotonic() - began) * 1000))
        finally:
            del self._ami.up[call_id]
        report = fake_reports.ended(call_id, booking, talked, status, _now(), token=self._token)
        await asyncio.to_thread(fake_reports.spool, self._spool, report)
        await self._ami.report(report)

    async def _ask(self, script: str, asking: str, *arguments: str) -> Channel:
        shown = {f"agi_arg_{len(arguments) + 1}": request_mac(self._token, asking, script, arguments)}
        return await AgiCall(self._port, script, *arguments, call_id=asking, changes=shown).run()


def _now() -> int:
    return time.time_ns() // 1_000_000
