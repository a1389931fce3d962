"""Callbacks of all accounts: how each was delivered and what was answered; redelivery, endpoints and test events."""

from collections.abc import Mapping
from typing import Any

from api.http.parsing import checked_body, unacceptable
from api.schemas.callbacks import NewTestEvent
from api.schemas.fields import CALLBACK_ID
from api.schemas.operator_rows import attempt_row, callback_row, endpoint_row
from api.web.console.lists import BEFORE, PAGE, page_of, place_of, text_of
from api.web.frame.sandbox_clock import sandbox_data
from api.web.frame.site import Action, Outcome, Page, Visit
from engine.accounts.accounts import account_of
from engine.callbacks import redelivery
from engine.callbacks.trial import post_test
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId
from engine.domain.masking import masked_text
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.domain.web_access import Role
from engine.storage.outbox import CallbackRecord
from engine.storage.transaction import Transaction

PATH = "/callbacks"
ONE = f"{PATH}/{{id}}"
NO_CALLBACK = "there is no such callback"


def callbacks_pages() -> tuple[Page, ...]:
    """Returns the list and the page of one callback."""
    return (
        Page(
            PATH,
            "Callbacks",
            Role.VIEWER,
            "console/callbacks.html",
            load_list,
            command="callbacks list --account {account}",
            parameters=frozenset({"state", "account", BEFORE}),
        ),
        Page(
            ONE,
            "Callback",
            Role.VIEWER,
            "console/callback.html",
            load_one,
            command="callbacks show {id}",
            api="/callbacks/{id}",
            placeholders={"id": CALLBACK_ID},
            in_menu=False,
            refresh_seconds=5,
            example="callback",
        ),
    )


def callback_actions() -> tuple[Action, ...]:
    """Returns what can be done about callbacks."""
    every, one = callbacks_pages()
    operator = Role.OPERATOR
    return (
        one.action(
            "redeliver", "Redeliver", "CallbackRedelivered", operator, redeliver, command="callbacks redeliver {id}"
        ),
        one.action(
            "enable", "Enable its endpoint", "EndpointEnabled", operator, enable, command="callbacks enable ENDPOINT"
        ),
        every.action("test", "Send a test event", "TestEventSent", operator, send_test, {"account", "url"}),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of callbacks, newest first."""
    account, state = text_of(visit, "account"), text_of(visit, "state")
    if state not in {"", *CallbackState}:
        raise unacceptable("state", f"is one of {', '.join(CallbackState)}")
    found = await visit.services.reads.newest_callbacks(
        state=CallbackState(state) if state else None,
        account=account or None,
        before_id=place_of(visit, CALLBACK_ID),
        limit=PAGE + 1,
    )
    callbacks, more_after = page_of(found.records, found.goes_on_after, lambda each: each.callback.id)
    return {
        "account": account,
        "state": state,
        "states": [each.value for each in CallbackState],
        "callbacks": [
            {"account": each.account, "bySandbox": each.is_sandbox, **callback_row(each.callback)} for each in callbacks
        ],
        "next": more_after,
    }


async def load_one(visit: Visit) -> Mapping[str, Any]:
    """Returns a callback, its body, each attempt with its answer, and its endpoint. Raises NotFound."""
    account_id, record = await _found(visit)
    endpoint = await visit.services.reads.endpoint_of(account_id, record.url)
    attempts = await visit.services.reads.callback_attempts(record.id)
    account = await visit.services.reads.portal_account(account_id)
    assert account is not None  # noqa: S101  accounts are never deleted
    return {
        "sandbox": sandbox_data(account.clock_ahead_ms, visit.now) if account.test_of else None,
        "callback": {
            "account": account.name,
            **callback_row(record),
            "body": masked_text(record.body),
        },
        "attempts": [attempt_row(each) for each in attempts],
        "endpoint": endpoint and endpoint_row(endpoint),
    }


async def _found(visit: Visit) -> tuple[AccountId, CallbackRecord]:
    callback_id, reads = visit.request.match_info["id"], visit.services.reads
    account_id = await reads.owner_of_callback(callback_id)
    record = account_id and await reads.callback(account_id, callback_id)
    if account_id is None or not record:
        raise NotFound(NO_CALLBACK)
    return account_id, record


async def redeliver(visit: Visit, _form: Mapping[str, str]) -> Outcome:
    """Sends a callback again, under the same id."""
    account_id, record = await _found(visit)
    _, changed = await visit.deps.run(redelivery.redeliver, account_id, record.id, visit.now)
    message = "It is sent again, with the same id." if changed else "It is already being sent."
    return Outcome(message, {"id": record.id}, subject=record.id)


async def enable(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Enables the endpoint of a callback, and sends what was held for it."""
    account_id, record = await _found(visit)
    endpoint = await visit.services.reads.endpoint_of(account_id, record.url)
    if endpoint is None:
        raise InvalidInput(["nothing was sent to this URL yet, so its endpoint is not disabled"])
    await visit.deps.run(redelivery.enable, account_id, endpoint.id)
    return Outcome(
        "The endpoint is enabled. Callbacks that were held for it are sent now.",
        {"id": endpoint.id},
        subject=endpoint.id,
    )


async def send_test(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Sends a signed test event of an account to a URL."""
    body = checked_body(visit.request, NewTestEvent, {"url": form["url"].strip()})
    callback_id = await visit.deps.run(_post_test, form["account"].strip(), body.url, visit.now)
    message = "The test event is being sent. Its page shows the answer."
    return Outcome(message, {"id": callback_id}, subject=callback_id)


def _post_test(tx: Transaction, account: str, url: str, now: EpochMs) -> str:
    return post_test(tx, account_of(tx, account).id, url, now)
