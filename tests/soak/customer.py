"""The customer of a soak test: books, lists, renews, changes and deletes bookings, and lets bookings expire."""

import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import aiohttp

from bench.system import HIDDEN, BenchSystem
from engine.domain.notifications import EventType
from tests.soak.plan import Wanted
from tests.soak.system import KEYED_OF_ROUNDS

# Each allows ten calls at once, so together they have room for all calls of the test.
LEAST_STANDING = 20
BLOCKED = "+14155559999"
# The number of latest bookings that may have expired.
REMEMBERED = 50


@dataclass(frozen=True)
class Booking:
    """A booking; `ends` is a time of this process's monotonic clock."""

    id: str
    service: str
    ends: float


class Unexpected(Exception):
    """An answer is not the expected one."""


class Customer:
    """The customer, used as an async context manager. `counts` are its successful actions."""

    def __init__(self, system: BenchSystem, wanted: Wanted, callback: str) -> None:
        self.counts: Counter[str] = Counter()
        self.standing: list[Booking] = []
        self._short: deque[Booking] = deque(maxlen=REMEMBERED)
        self._life = wanted.life
        self._most_standing = max(LEAST_STANDING, int(wanted.rate * wanted.talk))
        self._callback = callback
        self._base = f"http://127.0.0.1:{system.settings.http_port}"
        self._headers = {"Authorization": f"Bearer {system.key}"}
        self._session = self._connected()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self._base, headers=self._headers, timeout=aiohttp.ClientTimeout(total=15))

    async def rest(self) -> None:
        """Closes all connections."""
        await self._session.close()
        self._session = self._connected()

    async def begin(self) -> None:
        """Chooses all events, and makes the bookings that last for the whole test."""
        await self._ask("PUT", "/account", 200, {"events": list(EventType)})
        self.standing = [await self.book("LARGE") for _ in range(self._most_standing)]
        for booked in self.standing:
            await self._ask("POST", f"/bookings/{booked.id}/blocked-callers", 201, {"caller": BLOCKED})

    async def book(self, plan: str = "SMALL", key: str = "") -> Booking:
        """Makes a booking. With an idempotency key it sends the request twice, as if the answer was lost."""
        wanted = {"destination": HIDDEN, "usagePlan": plan, "callback": self._callback}
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self._ask("POST", "/bookings", 201, wanted, headers)
        self.counts["booked"] += 1
        if key and (again := await self._ask("POST", "/bookings", 201, wanted, headers)) != answer:
            raise Unexpected(f"the same request was answered by {answer['id']} and by {again['id']}")
        return Booking(answer["id"], answer["service"], time.monotonic() + self._life)

    async def delete(self, booking_id: str) -> None:
        await self._ask("DELETE", f"/bookings/{booking_id}", 204)
        self.counts["deleted"] += 1

    def expired(self) -> Booking | None:
        """Returns a booking that is in its grace for a while yet; None if there is none."""
        now = time.monotonic()
        return next((each for each in self._short if each.ends + 0.5 < now < each.ends + 0.8 * self._life), None)

    async def make_round(self, number: int) -> None:
        """Makes a round of a few requests; `number` chooses which."""
        booked = self.standing[number % len(self.standing)]
        match number % KEYED_OF_ROUNDS:
            case 0:
                self._short.append(await self._swapped(await self.book(key=f"round-{number}-{time.time_ns()}")))
            case 1:
                await self._first_pages("/bookings?limit=20&includeExpired=true")
            case 2:
                await self._first_pages("/cdr?limit=50")
            case 3:
                await self._ask("PUT", f"/bookings/{booked.id}", 200, {"usagePlan": "SMALL"})
                self.counts["renewed"] += 1
                await self._ask("PATCH", f"/bookings/{booked.id}", 200, {"label": f"round {number}"})
            case _:
                await self._first_pages("/callbacks?limit=20")
                await self._ask("GET", f"/bookings/{booked.id}", 200)

    async def _swapped(self, booked: Booking) -> Booking:
        """Gives a booking another number."""
        answer = await self._ask("POST", f"/bookings/{booked.id}/swap-number", 200, {})
        self.counts["swapped"] += 1
        return replace(booked, service=answer["service"])

    async def _first_pages(self, path: str) -> None:
        page = await self._ask("GET", path, 200)
        if page["hasMore"]:
            await self._ask("GET", f"{path}&cursor={page['nextCursor']}", 200)

    async def _ask(
        self,
        method: str,
        path: str,
        expected: int,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Sends a request and returns the answer's body. Raises Unexpected if its status is not the expected one."""
        self.counts["requests"] += 1
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            received = await answer.json() if answer.status != 204 else None
            if answer.status != expected:
                raise Unexpected(f"{method} {path}: {answer.status} {received}")
            return received
