"""The customer of a soak: books, looks at lists, renews, changes and deletes, and lets bookings expire."""

import time
from collections import Counter, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from bench.system import HIDDEN, BenchSystem
from engine.domain.events import EventType
from tests.soak.plan import Wanted
from tests.soak.system import KEYED_OF_ROUNDS

# Each lets ten calls through at once, of which all of the soak's should find room.
LEAST_STANDING = 20
BLOCKED = "+14155559999"
# Of the bookings that may have expired by now.
REMEMBERED = 50


@dataclass(frozen=True)
class Booking:
    """`ends`: by this process's monotonic clock."""

    id: str
    service: str
    ends: float


class Unexpected(Exception):
    """An answer that should have been another one."""


class Customer:
    """Use as an async context manager. `counts`: what was done."""

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
        """Leave no connection open."""
        await self._session.close()
        self._session = self._connected()

    async def move_in(self) -> None:
        """Choose all events, and book what stands throughout."""
        await self._ask("PUT", "/account", 200, {"events": list(EventType)})
        self.standing = [await self.book("LARGE") for _ in range(self._most_standing)]
        for booked in self.standing:
            await self._ask("POST", f"/bookings/{booked.id}/blocked-callers", 201, {"caller": BLOCKED})

    async def book(self, plan: str = "SMALL", key: str = "") -> Booking:
        """With a key: sent twice, as one does that has lost the answer."""
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
        """One that is in its grace, and for a while yet."""
        now = time.monotonic()
        return next((each for each in self._short if each.ends + 0.5 < now < each.ends + 0.8 * self._life), None)

    async def go_round(self, number: int) -> None:
        """The `number`-th of the rounds, each of a few requests."""
        booked = self.standing[number % len(self.standing)]
        match number % KEYED_OF_ROUNDS:
            case 0:
                self._short.append(await self.book(key=f"round-{number}-{time.time_ns()}"))
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
        """The answer's body. Raises Unexpected."""
        self.counts["requests"] += 1
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            said = await answer.json() if answer.status != 204 else None
            if answer.status != expected:
                raise Unexpected(f"{method} {path}: {answer.status} {said}")
            return said
