"""Lets each customer read one list at a time, so that many lists of one customer do not delay those of others.

A list is read in statements of a millisecond or two, and the connection serves its requests in turn. So a list waits
for at most one statement of each other customer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, SANDBOX
from api.http.problems import ProblemError
from api.http.routes import ROUTES_BY_HANDLER, Handler
from engine.domain.ids import AccountId

# How long a request waits for the customer's requests before it.
WAIT_SECONDS = 1.0


class ReadTurns:
    """The customers' requests that read or wait.

    Args:
        wait_seconds: How long a request waits for its turn.
    """

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        # The lock of each customer, and how many requests have it or wait for it.
        self._locks: dict[AccountId, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, customer: AccountId) -> AsyncIterator[None]:
        """Waits for the customer's turn, in the order of requests. Raises ProblemError if that takes too long."""
        lock, count = self._locks.get(customer, (asyncio.Lock(), 0))
        self._locks[customer] = lock, count + 1
        try:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await lock.acquire()
            except TimeoutError:
                raise ProblemError(
                    "too_many_requests", "The account's earlier lists are still being read.", retry_after=1
                ) from None
            try:
                yield
            finally:
                lock.release()
        finally:
            _, count = self._locks[customer]
            if count == 1:
                del self._locks[customer]
            else:
                self._locks[customer] = lock, count - 1

    def __len__(self) -> int:
        return len(self._locks)


TURNS = web.AppKey("TURNS", ReadTurns)


@web.middleware
async def take_turns(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Makes a request that reads many rows wait for its customer's turn. A sandbox shares that of its customer."""
    account_id, route = request.get(ACCOUNT_ID), request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    if account_id is None or route is None or not route.reads_many:
        return await handler(request)
    sandbox = request.get(SANDBOX)
    async with request.app[TURNS].turn(account_id if sandbox is None else sandbox.test_of):
        return await handler(request)
