"""What the API is handed at start, and the keys under which an application and a request carry things."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Concatenate, ParamSpec, TypeVar

from aiohttp import web

from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.runtime.clock import Clock
from engine.storage.errors import StorageBusy
from engine.storage.reads import Reads
from engine.storage.sandboxes import Sandbox
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How many requests an account may send, how much one may bring and how long its parts may take. `stall_seconds`:
    how long the client of an export may take over a batch of it; the whole may take longer than `request_seconds`.

    A DELETE fits into the request's time with its storage and its hang-up: once committed, it answers 204.
    """

    requests_per_minute: int = 600
    body_bytes: int = 64 * 1024
    request_seconds: float = 10.0
    body_seconds: float = 5.0
    storage_seconds: float = 6.0
    hang_up_seconds: float = 2.0
    health_seconds: float = 3.0
    stall_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Dependencies:
    """`check_callback` raises CallbackNotAcceptable. `hang_up` is given the callers' channels in Asterisk.

    `renewed` is told the id of a booking that got more: its live calls may last longer. `health` returns each part's
    name with "up" or what it is instead: {"database": "up", "ami": "connecting"}.

    `key_used` is told the id of a key that opened its account; `refused` the service, event and address of a failed
    authentication, see `engine.security_log`. `proxies`: whose `X-Forwarded-For` is believed.
    """

    storage: SqliteStorage
    reads: Reads
    clock: Clock
    policy: Policy
    pepper: str
    check_callback: Callable[[str], None]
    hang_up: Callable[[list[CallId]], Awaitable[None]]
    renewed: Callable[[BookingId], None]
    health: Callable[[], Awaitable[dict[str, str]]]
    key_used: Callable[[str], None]
    refused: Callable[[str, str, str], None]
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    limits: RequestLimits = RequestLimits()

    async def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`storage.run`, for no longer than `limits.storage_seconds`. Raises what it raises.

        After StorageBusy it is not known whether a command that had begun was kept.
        """
        try:
            async with asyncio.timeout(self.limits.storage_seconds):
                return await self.storage.run(command, *args, **kwargs)
        except TimeoutError:
            raise StorageBusy("the command took too long") from None


DEPENDENCIES = web.AppKey("DEPENDENCIES", Dependencies)
# The account whose key came with the request; set by `api.auth` on every route that is not public.
ACCOUNT_ID: web.RequestKey[AccountId] = web.RequestKey("ACCOUNT_ID")
# The digest of that key, by which it is looked up again where an answer takes long.
KEY_DIGEST = web.RequestKey("KEY_DIGEST", str)
# The test world whose key came with the request; not set for keys of customers' own accounts.
SANDBOX = web.RequestKey("SANDBOX", Sandbox)
# Of the whole request. A handler that sends its answer as it makes it puts limits of its own in its place.
TIME_LIMIT = web.RequestKey("TIME_LIMIT", asyncio.Timeout)


def now_of(request: web.Request) -> EpochMs:
    """Epoch milliseconds, by the clock that the request's account goes by."""
    return timestamp_of(request).wall_ms


def timestamp_of(request: web.Request) -> Timestamp:
    """By the clock that the request's account goes by."""
    at, world = machine_timestamp(request), request.get(SANDBOX)
    return at if world is None else world.timestamp(at)


def machine_timestamp(request: web.Request) -> Timestamp:
    """For what happens to requests themselves, to callbacks on their way, and for what moves an account's clock."""
    return request.app[DEPENDENCIES].clock.timestamp()
