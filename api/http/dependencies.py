"""What the API receives at start, and the keys of what applications and requests carry."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Concatenate, ParamSpec, TypeVar

from aiohttp import web

from engine.asterisk.browser_phones import BrowserPhones
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.metrics.request_counts import RequestCounts
from engine.runtime.clock import Clock
from engine.storage.errors import StorageBusy
from engine.storage.interface import Storage
from engine.storage.reads import Reads
from engine.storage.sandboxes import Sandbox
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of requests.

    The storage and hang-up times of a DELETE together fit into `request_seconds`: once committed, it answers 204.

    Attributes:
        requests_per_minute: Requests of one account that has no limit of its own.
        body_bytes: Size of a body.
        request_seconds: Time for a whole request. Exports may take longer.
        body_seconds: Time for a body to arrive.
        storage_seconds: Time for a command in the storage.
        hang_up_seconds: Time for Asterisk to end the calls of a deleted booking.
        test_event_seconds: Time that a request for a test event waits for the receiver's answer.
        stall_seconds: Time that an export's client may take to read one batch.
    """

    requests_per_minute: int = 600
    body_bytes: int = 64 * 1024
    request_seconds: float = 10.0
    body_seconds: float = 5.0
    storage_seconds: float = 6.0
    hang_up_seconds: float = 2.0
    test_event_seconds: float = 3.0
    stall_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the API needs from the rest of the engine.

    Attributes:
        storage: Runs commands in transactions.
        reads: Reads without a transaction.
        clock: The machine's clocks.
        policy: The operator's choices.
        pepper: The secret that API keys are hashed with.
        check_callback: Raises CallbackNotAcceptable for a URL that may not be called.
        hang_up: Ends calls; takes the callers' channels in Asterisk.
        renewed: Called with a booking that may have more credit now, so that its live calls may last longer.
        health: Returns the state of each part by name: {"database": "up", "ami": "connecting"}.
        last_commit: Returns when the database was last written; None: not yet.
        key_used: Called with the id of each API key that was accepted.
        refused: Called with the service, event and address of each failed authentication, for the security log.
        proxies: The networks whose `X-Forwarded-For` is trusted.
        limits: The limits of requests.
        trunks: Returns the state of each trunk by name: {"main": "up"}.
        dead_trunks: Returns the names of the trunks that are known to be down.
        requests: Counts the requests.
        phones: The telephones of the page /phone; None without the page.
    """

    storage: Storage
    reads: Reads
    clock: Clock
    policy: Policy
    pepper: str
    check_callback: Callable[[str], None]
    hang_up: Callable[[list[CallId]], Awaitable[None]]
    renewed: Callable[[BookingId], None]
    health: Callable[[], dict[str, str]]
    last_commit: Callable[[], EpochMs | None]
    key_used: Callable[[str], None]
    refused: Callable[[str, str, str], None]
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    limits: RequestLimits = RequestLimits()
    trunks: Callable[[], Mapping[str, str]] = dict
    dead_trunks: Callable[[], frozenset[str]] = frozenset
    requests: RequestCounts = field(default_factory=RequestCounts)
    phones: BrowserPhones | None = None

    async def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a command in a transaction, for no longer than `limits.storage_seconds`.

        Raises:
            StorageBusy: It took too long. A command that had begun may have been committed or not.
            Exception: What the command raises.
        """
        try:
            async with asyncio.timeout(self.limits.storage_seconds):
                return await self.storage.run(command, *args, **kwargs)
        except TimeoutError:
            raise StorageBusy("the command took too long") from None


DEPENDENCIES = web.AppKey("DEPENDENCIES", Dependencies)
# The account of the request's key. `api.http.auth` sets it on every route that is not public.
ACCOUNT_ID: web.RequestKey[AccountId] = web.RequestKey("ACCOUNT_ID")
# How many requests that account may send within a minute; None: as many as others.
OWN_QUOTA: web.RequestKey[int | None] = web.RequestKey("OWN_QUOTA")
# Whether that account is suspended.
IS_SUSPENDED = web.RequestKey("IS_SUSPENDED", bool)
# The digest of that key. Long answers use it to look the key up again.
KEY_DIGEST = web.RequestKey("KEY_DIGEST", str)
# The sandbox of the request's key. Not set for live keys.
SANDBOX = web.RequestKey("SANDBOX", Sandbox)
# The time limit of the whole request. A handler that streams its answer replaces it by limits of its own.
TIME_LIMIT = web.RequestKey("TIME_LIMIT", asyncio.Timeout)


def now_of(request: web.Request) -> EpochMs:
    """The time in epoch milliseconds, by the account's clock: a sandbox has its own."""
    return timestamp_of(request).wall_ms


def timestamp_of(request: web.Request) -> Timestamp:
    """The time by the account's clock: a sandbox has its own."""
    at, sandbox = machine_timestamp(request), request.get(SANDBOX)
    return at if sandbox is None else sandbox.timestamp(at)


def machine_timestamp(request: web.Request) -> Timestamp:
    """The time by the machine's clock: for requests themselves, for deliveries, and for moving sandbox clocks."""
    return request.app[DEPENDENCIES].clock.timestamp()
