"""Finds the account that a customer's page is for. From then on the request counts as one with that account's API key.

A page shows what the API answers to the account: its data come from the API's own handlers, and so does the rule
that no account sees another's. Requests count towards the account's quota.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from api.http.auth import account_suspended
from api.http.dependencies import ACCOUNT_ID, IS_SUSPENDED, OWN_QUOTA, SANDBOX
from api.http.rate_limit import count_request
from api.web.frame.protection import not_signed_in
from api.web.frame.sandbox_clock import sandbox_data
from api.web.frame.services import WEB
from api.web.frame.site import Action, Outcome, Page, Visit
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId
from engine.storage.console_reads import PortalAccount
from engine.storage.sandboxes import Sandbox

# The session's account, once it is found.
ACCOUNT = web.RequestKey("ACCOUNT", PortalAccount)


async def enter(visit: Visit) -> None:
    """Marks the request as one of the session's account.

    Raises:
        PageRefused: There is no such account any more.
        ProblemError: The account is suspended, or has used up its quota.
    """
    request, account_id = visit.request, visit.session.account_id
    if ACCOUNT in request:  # by the action whose answer this page is
        return
    account = await visit.services.reads.portal_account(account_id) if account_id else None
    if account is None:
        raise not_signed_in()
    request[ACCOUNT_ID] = account.id
    request[OWN_QUOTA] = account.requests_per_minute
    request[IS_SUSPENDED] = account.is_suspended
    if account.test_of is not None:
        request[SANDBOX] = Sandbox(account.id, account.clock_ahead_ms, account.test_of)
    count_request(request)
    if account.is_suspended:
        raise account_suspended()
    request[ACCOUNT] = account


def of_account(page: Page) -> Page:
    """Returns the page, with the data of the session's account and the account's name."""

    async def load(visit: Visit) -> Mapping[str, Any]:
        await enter(visit)
        return {"account": account_shown(visit), **await page.load(visit)}

    return replace(page, load=load)


def account_shown(visit: Visit) -> dict[str, Any]:
    """Returns what every page says about the session's account."""
    account = visit.request[ACCOUNT]
    sandbox = None if account.test_of is None else sandbox_data(account.clock_ahead_ms, visit.now)
    return {"name": account.name, "sandbox": sandbox}


def for_account(action: Action) -> Action:
    """Returns the action, carried out for the session's account."""

    async def run(visit: Visit, form: Mapping[str, str]) -> Outcome:
        await enter(visit)
        return await action.run(visit, form)

    return replace(action, run=run)


async def answer_of(visit: Visit, handler: Callable[[web.Request], Awaitable[web.Response]]) -> dict[str, Any]:
    """Returns what a handler of the API answers to the account. Raises what it raises."""
    answer = await handler(visit.request)
    found: dict[str, Any] = json.loads(answer.text or "{}")
    return found


async def frame_origin(request: web.Request, account_id: AccountId) -> str | None:
    """Returns the origin whose pages may show an account's portal in a frame; None: no page may."""
    account = await request.app[WEB].reads.portal_account(account_id)
    return None if account is None else account.frame_origin


def id_of(form: Mapping[str, str], pattern: re.Pattern[str], kind: str) -> str:
    """Returns the id that a form names. Raises NotFound if there can be none like it."""
    if not pattern.fullmatch(form["id"]):
        raise NotFound(f"there is no such {kind}")
    return form["id"]


def account_of(visit: Visit) -> AccountId:
    """Returns the account that `enter` has found."""
    return visit.request[ACCOUNT_ID]
