"""Helpers for tests of the web pages: the served console, fakes for Asterisk and for commands, and sessions."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from api.web.frame.site import Site
from api.web.served import sites
from engine.accounts.accounts import create_account
from engine.accounts.sign_in import NewSession, csrf_token_of, make_link, new_session
from engine.bookings.lifecycle import BookingRequest, book
from engine.bookings.number_pool import import_numbers
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import HOUR_MS, EpochMs
from engine.domain.web_access import Role
from engine.runtime.security_log import SecurityLog
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import ENDS
from tests.integration.api_helpers import CALLER, HIDDEN, PEPPER, POLICY, START, SettableClock
from tests.integration.web_server import FakeOperator

NUMBERS = tuple(f"+3225550{last:04}" for last in range(300))
CALL = CallId("rn00000001-1772366400.1")


@dataclass
class Console:
    """The served console, and ways to it."""

    url: str
    storage: SqliteStorage
    clock: SettableClock
    operator: FakeOperator
    log: SecurityLog
    booking: Booking
    client: aiohttp.ClientSession
    account_id: AccountId
    examples: dict[str, str] = field(default_factory=dict)

    async def link(self, role: Role = Role.OPERATOR, *, life_ms: int = HOUR_MS) -> str:
        made = await self.storage.run(make_link, role, None, life_ms, PEPPER, self.clock.now())
        return made.code

    async def session(self, role: Role = Role.OPERATOR, *, life_ms: int = 100 * HOUR_MS) -> NewSession:
        account = self.account_id if role is Role.CUSTOMER else None
        ends_at = EpochMs(self.clock.now() + life_ms)
        return await self.storage.run(new_session, role, account, ends_at, PEPPER, self.clock.now())

    def events(self) -> list[str]:
        return [line["SecurityEvent"] for line in self.log.newest(1000)]


def fill(tx: Transaction) -> tuple[AccountId, Booking]:
    account = create_account(tx, "ours", START)
    import_numbers(tx, list(enumerate(NUMBERS)), START)
    booking = book(tx, BookingRequest(account.id, E164(HIDDEN), UsagePlan.LARGE, ""), START, POLICY)
    return account.id, booking


async def call_up(console: Console, call_id: CallId, *, answered: bool = True, source: str = CALLER) -> None:
    incoming = IncomingCall(call_id, console.booking.service, source)
    await console.storage.run(route_call, incoming, console.clock.timestamp(), POLICY)
    if answered:
        report = AnswerReport(call_id, console.booking.id, f"{call_id}-callee", 600)
        await console.storage.run(note_answer, report, console.clock.timestamp())


async def calls_of_the_day(console: Console) -> None:
    """Makes some calls in the hours before, most of them answered."""
    for hour, calls in enumerate((2, 5, 3, 6)):
        console.clock.instant = EpochMs(START - (4 - hour) * HOUR_MS)
        for number in range(calls):
            call_id = CallId(f"rn00000000-{1772352000 + 3600 * hour}.{number}")
            await call_up(console, call_id, answered=number % 3 != 1)
            ending = ENDS["BUSY" if number % 3 == 1 else "ANSWER"]
            talked = 0 if number % 3 == 1 else 40_000 + 1_000 * number
            end = EndReport(call_id, console.booking.id, talked, ending)
            await console.storage.run(call_ended, end, console.clock.timestamp(), POLICY)
    console.clock.instant = START


PAGES = [(site, page) for site in sites() for page in site.pages]


[SITE] = [site for site in sites() if site.prefix == "/console"]


class Answer(NamedTuple):
    status: int
    text: str
    headers: Any


class Way(NamedTuple):
    """A path of a site, and the role that it needs."""

    site: Site
    method: str
    path: str
    role: Role
    fields: frozenset[str] = frozenset()


WAYS = [
    *(Way(site, "GET", site.prefix + page.path, page.role) for site, page in PAGES),
    *(Way(site, "GET", site.prefix + stream.path, stream.role) for site in sites() for stream in site.streams),
    *(
        Way(site, "POST", site.prefix + action.path, action.role, action.fields)
        for site in sites()
        for action in site.actions
    ),
]
ACTIONS = [way for way in WAYS if way.method == "POST"]
# What the forms of all actions may hold.
FIELDS = {"call": CALL, "kind": "call", "id": CALL}


async def ask(console: Console, method: str, path: str, secret: str = "", form: Any = None, **headers: str) -> Answer:
    if secret:
        headers["Cookie"] = f"{SITE.cookie}={secret}"
    url = URL(console.url + path, encoded=True)
    async with console.client.request(method, url, headers=headers, data=form, allow_redirects=False) as answer:
        return Answer(answer.status, await answer.text(), answer.headers.copy())


async def act(console: Console, way: Way, secret: str, **changes: str | None) -> Answer:
    """Sends an action as its page does, but for the changes: None leaves a header or field out."""
    sent = {"Origin": console.url, "csrf": csrf_token_of(secret, PEPPER)} | changes
    form = {name: FIELDS[name] for name in way.fields} | ({"csrf": sent["csrf"]} if sent["csrf"] is not None else {})
    headers = {"Origin": sent["Origin"]} if sent["Origin"] is not None else {}
    return await ask(console, "POST", way.path, secret, form, **headers)
