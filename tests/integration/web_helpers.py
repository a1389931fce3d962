"""Helpers for tests of the web pages: the served console, fakes for Asterisk and for commands, and sessions."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from api.web.frame.site import Action, Page, Site
from api.web.served import sites
from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key
from engine.accounts.sign_in import NewSession, csrf_token_of, make_link, new_session
from engine.bookings.lifecycle import BookingRequest, book
from engine.bookings.number_pool import import_numbers
from engine.callbacks.trial import post_test
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.retry import WhyDisabled
from engine.domain.times import HOUR_MS, EpochMs
from engine.domain.web_access import Role
from engine.runtime.ids import new_id
from engine.runtime.security_log import SecurityLog
from engine.storage.outbox import Delivery
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets
from tests.contract.samples import ENDS
from tests.integration.api_helpers import CALLBACK, CALLER, HIDDEN, PEPPER, POLICY, START, SettableClock
from tests.integration.web_server import Answer, FakeOperator, ask_site

NUMBERS = tuple(f"+3225550{last:04}" for last in range(300))
CALL = CallId("rn00000001-1772366400.1")
ENDED_CALL = CallId("rn00000001-1772366400.8")


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


def fill(tx: Transaction) -> tuple[AccountId, Booking, dict[str, str]]:
    """Makes an account, a booking for calls, and what the examples of pages and actions name."""
    account = create_account(tx, "ours", START)
    import_numbers(tx, list(enumerate(NUMBERS)), START)
    wanted = BookingRequest(account.id, E164(HIDDEN), UsagePlan.LARGE, CALLBACK)
    booking, other = book(tx, wanted, START, POLICY), book(tx, wanted, START, POLICY)
    callback_id = post_test(tx, account.id, CALLBACK, START)
    sent = Delivery(callback_id, account.id, CALLBACK, "", 1, 1, START, SigningSecrets("whsec_"))
    tx.endpoints.disable(tx.endpoints.note_failure(new_id("cep"), sent, START).id, WhyDisabled.FAILING, START)
    theirs = create_account(tx, "theirs", START)
    key = create_key(tx, theirs.id, PEPPER, START)
    examples = {"booking": other.id, "callback": callback_id, "account": theirs.id, "key": key.id}
    return account.id, booking, examples


async def call_up(console: Console, call_id: CallId, *, answered: bool = True, source: str = CALLER) -> None:
    incoming = IncomingCall(call_id, console.booking.service, source)
    await console.storage.run(route_call, incoming, console.clock.timestamp(), POLICY)
    if answered:
        report = AnswerReport(call_id, console.booking.id, f"{call_id}-callee", 600)
        await console.storage.run(note_answer, report, console.clock.timestamp())


async def end_call(
    console: Console, call_id: CallId, how: str = "ANSWER", *, seconds: int = 20, source: str = CALLER
) -> str:
    """Makes a whole call. Returns the id of its record."""
    is_answered = how == "ANSWER"
    await call_up(console, call_id, answered=is_answered, source=source)
    end = EndReport(call_id, console.booking.id, 1_000 * seconds if is_answered else 0, ENDS[how])
    settled = await console.storage.run(call_ended, end, console.clock.timestamp(), POLICY)
    assert settled is not None
    return settled.cdr.id


async def calls_of_the_day(console: Console) -> None:
    """Makes some calls in the hours before, most of them answered."""
    for hour, calls in enumerate((2, 5, 3, 6)):
        console.clock.instant = EpochMs(START - (4 - hour) * HOUR_MS)
        for number in range(calls):
            call_id = CallId(f"rn00000000-{1772352000 + 3600 * hour}.{number}")
            await end_call(console, call_id, "BUSY" if number % 3 == 1 else "ANSWER", seconds=40 + number)
    console.clock.instant = START


[SITE] = [site for site in sites() if site.prefix == "/console"]
PAGES = [(SITE, page) for page in SITE.pages]


# What the forms of all actions may hold.
FIELDS = {
    "call": CALL,
    "kind": "call",
    "id": CALL,
    "usagePlan": "SMALL",
    "seconds": "60",
    "calls": "1",
    "reason": "a test",
    "paused": "yes",
    "label": "A label",
    "sure": "yes",
    "name": "another",
    "newName": "renamed",
    "to": "live",
    "events": "booking.expired",
    "hours": "24",
    "key": "{key}",
    "lines": "+3225559999",
    "number": NUMBERS[-1],
    "days": "",
    "account": "ours",
    "url": CALLBACK,
}


class Way(NamedTuple):
    """A path of a site, with the name of an example for `{id}` (see `ask`), and the role that it needs."""

    site: Site
    method: str
    path: str
    role: Role
    fields: frozenset[str] = frozenset()


def path_of(site: Site, entry: Page | Action) -> str:
    return site.prefix + entry.path.replace("{id}", f"{{{entry.example}}}")


def _sent(action: Action) -> frozenset[str]:
    # A booking's hours are no number, as those of a secret are.
    return action.fields | (action.optional & FIELDS.keys() - {"hours"})


WAYS = [
    *(Way(site, "GET", path_of(site, page), page.role) for site, page in PAGES),
    *(Way(SITE, "GET", SITE.prefix + stream.path, stream.role) for stream in SITE.streams),
    *(Way(SITE, "POST", path_of(SITE, action), action.role, _sent(action)) for action in SITE.actions),
]
ACTIONS = [way for way in WAYS if way.method == "POST"]


async def ask(console: Console, method: str, path: str, secret: str = "", form: Any = None, **headers: str) -> Answer:
    url = console.url + path.format_map(console.examples)
    return await ask_site(SITE, console.client, method, url, secret, form, headers)


async def data(console: Console, path: str) -> Any:
    """Returns the data of a page, as a program gets them."""
    secret = (await console.session(Role.VIEWER)).secret
    answer = await ask(console, "GET", path, secret, Accept="application/json")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


async def act(console: Console, way: Way, secret: str, **changes: str | None) -> Answer:
    """Sends an action as its page does, but for the changes: None leaves a header or field out."""
    sent = {"Origin": console.url, "csrf": csrf_token_of(secret, PEPPER)} | changes
    form = {name: FIELDS[name].format_map(console.examples) for name in way.fields} | (
        {"csrf": sent["csrf"]} if sent["csrf"] is not None else {}
    )
    headers = {"Origin": sent["Origin"]} if sent["Origin"] is not None else {}
    return await ask(console, "POST", way.path, secret, form, **headers)


async def act_by_path(console: Console, path: str, secret: str, form: dict[str, str]) -> Answer:
    """Sends a form as its page does."""
    sent = form | {"csrf": csrf_token_of(secret, PEPPER)}
    return await ask(console, "POST", path, secret, sent, Origin=console.url)
