"""How many requests an account may send: a bucket of so many, filled anew within a minute, evenly.

It goes by the machine's own clock, which nobody sets, and costs an account one number. The package `limits` was
rejected: its windows in memory go by the wall clock, so that two of their three kinds keep an account out for an hour
when that is set back by one, and it starts threads to clear them.
"""

import asyncio
import math
from dataclasses import dataclass
from itertools import islice

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID
from api.http.problems import ProblemError
from api.http.routes import Handler
from engine.domain.ids import AccountId

WINDOW_SECONDS = 60
# Of a request: sums of fractions of them may miss a whole one by less.
ROUNDING = 1e-6
# The name of the policy, as draft-ietf-httpapi-ratelimit-headers has them in both headers.
POLICY = "requests"
RATE_LIMIT = "RateLimit"
RATE_LIMIT_POLICY = "RateLimit-Policy"


@dataclass(frozen=True, slots=True)
class QuotaStanding:
    """`remaining`: requests that may be sent at once. `full_in`: seconds until it is all of them. `next_in`: seconds
    until there is one, 0 if there is."""

    allowed: bool
    remaining: int
    full_in: float
    next_in: float


class RateLimit:
    """`per_minute`: of one account, at once or one after the other."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._per_second = per_minute / WINDOW_SECONDS
        # What an account's bucket lacked at its latest request, and when that was, in the order of those. Who is not
        # here has a full one.
        self._lacks: dict[str, tuple[float, float]] = {}

    def count(self, account_id: AccountId, now: float) -> QuotaStanding:
        """One more request, at `now` (monotonic seconds). One that is not allowed costs nothing."""
        lacks, before = self._lacks.pop(account_id, (0.0, now))
        lacks = max(0.0, lacks - (now - before) * self._per_second)
        allowed = lacks + 1 <= self.per_minute + ROUNDING
        lacks += allowed
        self._lacks[account_id] = lacks, now
        self._forget_full(now)
        remaining = max(0, math.floor(self.per_minute - lacks + ROUNDING))
        next_in = 0.0 if remaining else (lacks + 1 - self.per_minute) / self._per_second
        return QuotaStanding(allowed, remaining, lacks / self._per_second, next_in)

    def __len__(self) -> int:
        return len(self._lacks)

    def _forget_full(self, now: float) -> None:
        """Two a request, so that they go faster than they come."""
        for account_id, (lacks, before) in list(islice(self._lacks.items(), 2)):
            if lacks <= (now - before) * self._per_second:
                del self._lacks[account_id]


QUOTA = web.AppKey("QUOTA", RateLimit)
STANDING = web.RequestKey("STANDING", QuotaStanding)


@web.middleware
async def limit_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Behind `authenticate`: of what is public, and of who has no key, nothing is counted here."""
    account_id = request.get(ACCOUNT_ID)
    if account_id is not None:
        quota = request.app[QUOTA]
        request[STANDING] = standing = quota.count(account_id, asyncio.get_running_loop().time())
        if not standing.allowed:
            raise ProblemError(
                "too_many_requests",
                f"The account may send {quota.per_minute} requests a minute.",
                retry_after=max(1, math.ceil(standing.next_in)),
            )
    return await handler(request)


def set_rate_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    standing = request.get(STANDING)
    if standing is not None:
        full_in = math.ceil(standing.full_in)
        response.headers[RATE_LIMIT] = f'"{POLICY}";r={standing.remaining};t={full_in}'
        response.headers[RATE_LIMIT_POLICY] = f'"{POLICY}";q={request.app[QUOTA].per_minute};w={WINDOW_SECONDS}'
