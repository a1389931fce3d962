"""Limits how many requests an account may send: a token bucket that refills evenly within a minute.

It uses the monotonic clock, which cannot be set, and stores two numbers for an account. The package `limits` was
rejected: its windows in memory use the wall clock, so that two of its three kinds lock an account out for an hour if
that clock is set back by an hour, and it starts threads to clear them.
"""

import asyncio
import math
from dataclasses import dataclass
from itertools import islice

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, OWN_QUOTA
from api.http.problems import ProblemError
from api.http.routes import Handler

WINDOW_SECONDS = 60
# In requests. Rounding errors of sums are smaller than this.
ROUNDING = 1e-6
# The name of the policy in both headers (draft-ietf-httpapi-ratelimit-headers).
POLICY = "requests"
RATE_LIMIT = "RateLimit"
RATE_LIMIT_POLICY = "RateLimit-Policy"


@dataclass(frozen=True, slots=True)
class QuotaStanding:
    """An account's quota after a request.

    Attributes:
        per_minute: Requests that the account may send within a minute.
        allowed: Whether the request is within the quota.
        remaining: Requests that may be sent now.
        full_in: Seconds until the whole quota is available.
        next_in: Seconds until the next request is allowed; 0 if it is allowed now.
    """

    per_minute: int
    allowed: bool
    remaining: int
    full_in: float
    next_in: float


class RateLimit:
    """The buckets of all accounts.

    Args:
        per_minute: Requests that an account without a limit of its own may send within a minute, all at the same time
            or spread out.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        # What an account's bucket lacked at its latest request, the time of that request, and how many requests a
        # second fill it; the longest unused account comes first. An account that is not here has a full bucket.
        self._lacks: dict[str, tuple[float, float, float]] = {}

    def count(self, account_id: str, now: float, own: int | None = None) -> QuotaStanding:
        """Counts one more request at `now` (monotonic seconds). A request that is not allowed costs nothing.

        Args:
            account_id: The account, or another id of who has a bucket.
            now: The present time.
            own: Requests that this account may send within a minute; None: as many as others.
        """
        per_minute = self._per_minute if own is None else own
        per_second = per_minute / WINDOW_SECONDS
        lacks, before, filled_by = self._lacks.pop(account_id, (0.0, now, per_second))
        # No more than the whole bucket, which is smaller now if the operator has lowered the limit.
        lacks = min(max(0.0, lacks - (now - before) * filled_by), per_minute)
        allowed = lacks + 1 <= per_minute + ROUNDING
        lacks += allowed
        self._lacks[account_id] = lacks, now, per_second
        self._forget_full(now)
        remaining = max(0, math.floor(per_minute - lacks + ROUNDING))
        next_in = 0.0 if remaining else (lacks + 1 - per_minute) / per_second
        return QuotaStanding(per_minute, allowed, remaining, lacks / per_second, next_in)

    def __len__(self) -> int:
        return len(self._lacks)

    def _forget_full(self, now: float) -> None:
        """Removes full buckets: up to two for each request, so that they go faster than new ones come."""
        for account_id, (lacks, before, filled_by) in list(islice(self._lacks.items(), 2)):
            if lacks <= (now - before) * filled_by:
                del self._lacks[account_id]


QUOTA = web.AppKey("QUOTA", RateLimit)
STANDING = web.RequestKey("STANDING", QuotaStanding)


@web.middleware
async def limit_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses requests beyond the quota. It runs after `authenticate`: requests without an account are not counted."""
    if ACCOUNT_ID in request:
        count_request(request)
    return await handler(request)


def count_request(request: web.Request) -> None:
    """Counts a request of an account that is known. Raises ProblemError beyond its quota."""
    now = asyncio.get_running_loop().time()
    request[STANDING] = standing = request.app[QUOTA].count(request[ACCOUNT_ID], now, request[OWN_QUOTA])
    if not standing.allowed:
        raise ProblemError(
            "too_many_requests",
            f"The account may send {standing.per_minute} requests per minute.",
            retry_after=max(1, math.ceil(standing.next_in)),
        )


def set_rate_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Reports the quota in the answer, if the request was counted."""
    standing = request.get(STANDING)
    if standing is not None:
        full_in = math.ceil(standing.full_in)
        response.headers[RATE_LIMIT] = f'"{POLICY}";r={standing.remaining};t={full_in}'
        response.headers[RATE_LIMIT_POLICY] = f'"{POLICY}";q={standing.per_minute};w={WINDOW_SECONDS}'
