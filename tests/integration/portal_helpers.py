"""Helpers for tests of the customer portal: two accounts with one of everything, on the real API with a worker."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from api.web.frame.site import Action, Page
from api.web.portal.site import portal_site
from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key
from engine.accounts.sign_in import NewSession, csrf_token_of, new_session
from engine.bookings.lifecycle import BookingRequest, book
from engine.bookings.number_pool import import_numbers
from engine.bookings.shared_numbers import share
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.cdr.refused import OWN_RECORDS
from engine.domain.booking import Booking
from engine.domain.call_ends import Attempt, DialplanEnd
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.policy import UsagePlan
from engine.domain.times import HOUR_MS, EpochMs
from engine.domain.web_access import Role
from engine.runtime.clock import SystemClock
from engine.runtime.security_log import SecurityLog
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.integration.api_helpers import PEPPER, POLICY
from tests.integration.callback_sending import failed_callback
from tests.integration.web_server import Answer, ask_site

SITE = portal_site()
CLOCK = SystemClock()
# What only the operator may see of a call.
TRUNKS = ("carrier-in", "carrier-tried", "carrier-out")
SIP_CALL_ID = "call-id-of-the-carrier"
FAILED_OVER = DialplanEnd("ANSWER", TRUNKS[2], (Attempt(TRUNKS[1], "CONGESTION", 503, 34),), "caller", 16)
CALL_FIELDS = {
    "language": "nl",
    "screening": "press1",
    "whisper": "yes",
    "greeting": "yes",
    "beep": "yes",
    "reverse": "yes",
    "acceptFormerCallers": "yes",
    "hours": "mon-fri 09:00-17:30\r\nsat 10:00-24:00",
    "timeZone": "Europe/Brussels",
}
UNKNOWN = {
    "booking": "bkg_" + "0" * 32,
    "record": "cdr_" + "0" * 32,
    "callback": "evt_" + "0" * 32,
    "endpoint": "cep_" + "0" * 32,
    "key": "key_" + "0" * 32,
}


@dataclass(frozen=True)
class Tenant:
    """An account with a booking, a call, refused ones, a callback that got 410, its disabled endpoint, and a key.

    Attributes:
        ids: The ids of these by their kinds.
        marks: What only this account may see.
    """

    name: str
    account_id: AccountId
    key: str
    booking: Booking
    ids: dict[str, str]
    marks: tuple[str, ...]


@dataclass
class Portal:
    """The served portal, and ways to it."""

    url: str
    storage: SqliteStorage
    log: SecurityLog
    client: aiohttp.ClientSession
    ours: Tenant
    theirs: Tenant

    async def session(
        self, role: Role = Role.CUSTOMER, *, life_ms: int = HOUR_MS, of: Tenant | None = None
    ) -> NewSession:
        account_id = None if role not in SITE.roles else (of or self.ours).account_id
        ends_at = EpochMs(CLOCK.now() + life_ms)
        return await self.storage.run(new_session, role, account_id, ends_at, PEPPER, CLOCK.now())

    def events(self) -> list[str]:
        return [line["SecurityEvent"] for line in self.log.newest(1000)]


def a_tenant(tx: Transaction, name: str, hidden: str) -> Tenant:
    now = CLOCK.now()
    account = create_account(tx, name, now)
    callback = f"https://{name}.example/calls"
    label = f"label of {name}"
    wanted = BookingRequest(account.id, E164(hidden), UsagePlan.LARGE, callback, label=label, refuse_anonymous=True)
    booking = book(tx, wanted, now, POLICY)
    caller, call_id = f"+1415555{hidden[-4:]}", CallId(f"call-of-{name}")
    at = CLOCK.timestamp()
    incoming = IncomingCall(call_id, booking.service, caller, sip_call_id=SIP_CALL_ID, trunk=TRUNKS[0])
    route_call(tx, incoming, at, POLICY)
    note_answer(tx, AnswerReport(call_id, booking.id, f"{call_id}-callee", 60), at)
    record = call_ended(tx, EndReport(call_id, booking.id, 12_000, FAILED_OVER), at, POLICY)
    assert record is not None
    for number in range(OWN_RECORDS + 1):
        refused = IncomingCall(CallId(f"{call_id}-{number}"), booking.service, ANONYMOUS, trunk=TRUNKS[0])
        route_call(tx, refused, at, POLICY)
    callback_id, endpoint_id = failed_callback(tx, EpochMs(CLOCK.now() + 1))
    key = create_key(tx, account.id, PEPPER, now)
    ids = {
        "booking": booking.id,
        "record": record.cdr.id,
        "callback": callback_id,
        "endpoint": endpoint_id,
        "key": key.id,
    }
    secret = tx.webhook_secrets.of(account.id).present
    marks = (*ids.values(), name, callback, booking.service, hidden, caller, secret, key.secret)
    return Tenant(name, account.id, key.secret, booking, ids, marks)


async def share_number(portal: Portal, number: str) -> None:
    """Adds a rented number that pairs share."""
    await portal.storage.run(import_numbers, [(1, number)], CLOCK.now())
    await portal.storage.run(share, number)


async def ask(portal: Portal, method: str, path: str, secret: str = "", form: Any = None, **headers: str) -> Answer:
    return await ask_site(SITE, portal.client, method, portal.url + path, secret, form, headers)


async def act(
    portal: Portal, action: Action, secret: str, form: dict[str, str], *, leave_out: str = "", **changes: str
) -> Answer:
    """Sends an action as its page does, but for the changes of its header `Origin` and of its field `csrf`."""
    sent = {"Origin": portal.url, "csrf": csrf_token_of(secret, PEPPER)} | changes
    sent.pop(leave_out, None)
    fields = fields_of(action, form) | ({"csrf": sent["csrf"]} if "csrf" in sent else {})
    headers = {"Origin": sent["Origin"]} if "Origin" in sent else {}
    path = action.path.replace("{id}", quote(form.get("id", "")))
    return await ask(portal, "POST", SITE.prefix + path, secret, fields, **headers)


def fields_of(action: Action, form: dict[str, str]) -> dict[str, str]:
    """Returns those that the action takes."""
    return {name: form[name] for name in (*action.fields, *(action.optional & form.keys()))}


def form_for(action: Action, ids: dict[str, str], url: str = "https://receiver.example/calls") -> dict[str, str]:
    """The fields of every action, with the ids of one account."""
    kind = {"/bookings": "booking", "/deliveries/redeliver": "callback", "/deliveries/enable": "endpoint"}
    named = next((name for path, name in kind.items() if action.path.startswith(path)), "key")
    return {
        "id": ids[named],
        "url": url,
        "usagePlan": "SMALL",
        "key": action.path,
        "sure": "yes",
        "label": "",
        "destination": "+32470999999",
        "firstNumber": "+32470999997",
        "secondNumber": "+32470999996",
        "callback": "https://changed.example/calls",
        "paused": "yes",
        "overlap": "none",
        **CALL_FIELDS,
    }


def path_of(page: Page, ids: dict[str, str]) -> str:
    return SITE.prefix + (page.path.replace("{id}", ids[page.example]) if page.example else page.path)


async def link_of(portal: Portal, tenant: Tenant, **body: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with portal.client.post(f"{portal.url}/portal-links", json=body, headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
        assert answer.status == 200, found
        return found


async def use(portal: Portal, link: str, **headers: str) -> Answer:
    path, _, code = link.removeprefix(portal.url).partition("#")
    return await ask(portal, "POST", path, "", {"code": code}, **{"Origin": portal.url, **headers})


async def everything_of(portal: Portal, tenant: Tenant) -> str:
    """All that an account's API key and its portal show, and all that is stored of its access."""
    secret = (await portal.session(of=tenant)).secret
    pages = [path_of(page, tenant.ids) for page in SITE.pages]
    seen = [(await ask(portal, "GET", path, secret, Accept="application/json")).text for path in pages]
    keys = await portal.storage.run(lambda tx: tx.accounts.keys_of(tenant.account_id))
    signing = await portal.storage.run(lambda tx: tx.webhook_secrets.of(tenant.account_id))
    calls = [json.loads(each) for each in seen]
    for each in calls:
        each.pop("key", None)  # of the form for a renewal, new each time
        each.pop("usage", None)  # its span ends now
    return json.dumps([calls, keys, str(signing)])
