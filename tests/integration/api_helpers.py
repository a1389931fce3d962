"""Helpers for tests of the API: two accounts, ten numbers, and fakes for everything outside the API."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.account_limits import AccountLimits
from engine.domain.errors import CallbackNotAcceptable, InvariantBroken
from engine.domain.ids import BookingId, CallId
from engine.domain.money import Money
from engine.domain.numbers import E164
from engine.domain.policy import Allowance, Policy, UsagePlan
from engine.domain.routing import MakeRoom
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import ENDS
from tests.integration.conformance import check_answer

SECOND = 1_000
DAY = 24 * 3_600 * SECOND
# 2026-03-01T12:00:00.000Z
START = EpochMs(1_772_366_400_000)
PEPPER = "a pepper of throw-away tests"
NUMBERS = tuple(f"+32255500{last:02}" for last in range(10))
HIDDEN = "+32470123456"
OTHER_HIDDEN = "+442079460958"
CALLER = "+14155550123"
CALLBACK = "https://customer.example/calls"
CRASHING_CALLBACK = "https://crash.example/"
UNKNOWN_BOOKING = BookingId("bkg_" + "0" * 32)
UNKNOWN_CDR = "cdr_" + "0" * 32

# The names that `Api.keys` has for the sandboxes of the accounts.
TESTED = "ours, tested"
THEIRS_TESTED = "theirs, tested"
# More than there are numbers, so that the pool is empty before the limit is reached.
MAX_BOOKINGS = 12
POLICY = Policy(
    plans={
        UsagePlan.SMALL: Allowance(seconds=90, calls=2, valid_for_ms=DAY, price=Money(990, "EUR")),
        UsagePlan.MEDIUM: Allowance(seconds=300, calls=10, valid_for_ms=7 * DAY),
        UsagePlan.LARGE: Allowance(seconds=3_600, calls=100, valid_for_ms=30 * DAY),
    },
    account_limits=AccountLimits(max_bookings=MAX_BOOKINGS),
    grace_ms=7 * DAY,
    quarantine_ms=30 * DAY,
    longest_call_seconds=60,
    ring_seconds=30,
    lost_call_margin_ms=60 * SECOND,
    horizon_ms=90 * DAY,
    may_assert_callers=True,
    speaks=True,
)


class SettableClock:
    def __init__(self) -> None:
        self.instant = START

    def now(self) -> EpochMs:
        return self.instant

    def timestamp(self) -> Timestamp:
        return Timestamp(self.instant, BootMs(self.instant - START))

    def advance(self, milliseconds: int) -> None:
        self.instant = EpochMs(self.instant + milliseconds)


@dataclass
class Asterisk:
    """Records the calls that it was asked to hang up, and the bookings that were renewed.

    Attributes:
        behave: Awaited before a hangup is recorded.
    """

    hung_up: list[CallId] = field(default_factory=list)
    renewed: list[BookingId] = field(default_factory=list)
    behave: Callable[[], Awaitable[None]] | None = None

    async def hang_up(self, channels: list[CallId]) -> None:
        if self.behave is not None:
            await self.behave()
        self.hung_up += channels


@dataclass
class Health:
    parts: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(["engine", "database", "ami", "asterisk"], "up")
    )
    last_commit: EpochMs | None = None

    def __call__(self) -> dict[str, str]:
        return self.parts


def check_callback(url: str) -> None:
    if url == CRASHING_CALLBACK:
        raise InvariantBroken(f"a bug that talks of {HIDDEN}")
    if not url.startswith("https://"):
        raise CallbackNotAcceptable("callback must be an https URL")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        return str(self.body["code"])


@dataclass
class Api:
    """The API with two accounts, "ours" and "theirs", each with a key and a sandbox key, and ten free numbers."""

    client: TestClient[web.Request, web.Application]
    storage: SqliteStorage
    reads: Reads
    clock: SettableClock
    asterisk: Asterisk
    health: Health
    keys: dict[str, str]
    keys_used: list[str]
    refusals: list[tuple[str, str, str]]

    async def call(
        self, method: str, path: str, body: Any = None, *, account: str | None = "ours", **options: Any
    ) -> Answer:
        """Send a request, and check the answer against the OpenAPI document.

        Args:
            body: Sent as JSON.
            account: Whose key is sent; None: no key.
            options: Passed to aiohttp's client.
        """
        headers = {"Authorization": f"Bearer {self.keys[account]}"} if account else {}
        headers |= options.pop("headers", {})
        if body is not None:
            options["data"] = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        url = URL(path, encoded=True)
        async with self.client.request(method, url, headers=headers, **options) as answer:
            text = await answer.text()
        check_answer(method, path, answer.status, answer.headers, text)
        return Answer(answer.status, dict(answer.headers), text)

    async def send(self, raw: bytes, method: str = "POST", path: str = "/bookings") -> Answer:
        """Send `raw` as a JSON body."""
        return await self.call(method, path, data=raw, headers={"Content-Type": "application/json"})

    async def book(self, *, account: str = "ours", **changes: Any) -> Any:
        answer = await self.call("POST", "/bookings", a_request(**changes), account=account)
        assert answer.status == 201, answer.text
        return answer.body

    async def see(self, booking_id: str) -> Any:
        answer = await self.call("GET", f"/bookings/{booking_id}")
        assert answer.status == 200, answer.text
        return answer.body

    async def caller_rings(self, service: E164, call_id: CallId, source: str = CALLER) -> None:
        incoming = IncomingCall(call_id, service, source)
        decision = await self.storage.run(route_call, incoming, self.clock.timestamp(), POLICY)
        if isinstance(decision, MakeRoom):
            await self.storage.run(route_call, incoming, self.clock.timestamp(), POLICY, room_was_made=True)

    async def talk(self, service: E164, call_id: CallId, seconds: int) -> None:
        """Make a whole call that lasts `seconds`; 0: it is not answered."""
        await self.caller_rings(service, call_id)
        booking = await self.storage.run(lambda tx: tx.bookings.holding(service))
        booking_id = booking.id if booking else BookingId("")
        if seconds:
            answer = AnswerReport(call_id, booking_id, f"{call_id}-callee", 60)
            await self.storage.run(note_answer, answer, self.clock.timestamp())
        end = EndReport(call_id, booking_id, seconds * SECOND, ENDS["ANSWER" if seconds else "BUSY"])
        await self.storage.run(call_ended, end, self.clock.timestamp(), POLICY)


def a_request(**changes: Any) -> dict[str, Any]:
    return {"destination": HIDDEN, "usagePlan": "SMALL", "callback": CALLBACK} | changes


def a_pair(**changes: Any) -> dict[str, Any]:
    participants = [{"number": HIDDEN, "label": "Ann"}, {"number": OTHER_HIDDEN}]
    return {"participants": participants, "usagePlan": "SMALL", "callback": CALLBACK} | changes


async def hold_all_but_one(api: Api, booking_id: str) -> None:
    """Copy the booking until its account may have only one more. The copies use numbers outside the pool."""

    def copy(tx: Transaction) -> None:
        booking = tx.bookings.by_id(BookingId(booking_id))
        assert booking is not None
        for number in range(MAX_BOOKINGS - 2):
            tx.bookings.insert(
                replace(booking, id=BookingId(f"bkg_{number:032}"), service=E164(f"+32255588{number:02}"))
            )

    await api.storage.run(copy)
