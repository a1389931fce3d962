"""Accounts in the console: who may do what, what each action changes, and that secrets are shown on purpose only."""

import json
from typing import Any

import pytest

from engine.accounts.accounts import account_of
from engine.domain.web_access import Role
from tests.integration.web_helpers import Console, act_by_path, ask, data
from tests.integration.web_server import Answer

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def send(console: Console, word: str, **form: str) -> Answer:
    path = f"/console/accounts/{console.examples['account']}/{word}"
    return await act_by_path(console, path, (await console.session(Role.ADMIN)).secret, form)


async def test_each_action_changes_what_it_says_and_is_logged(console: Console) -> None:
    admin = (await console.session(Role.ADMIN)).secret
    made = await act_by_path(console, "/console/accounts/create", admin, {"name": "A new customer"})
    assert "The new account" in made.text
    [found] = (await data(console, "/console/accounts?name=NEW"))["accounts"]
    assert found["name"] == "A new customer"
    path = f"/console/accounts/{console.examples['account']}"
    table: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
        ("rename", {"newName": "Renamed"}, "AccountRenamed", {"name": "Renamed"}),
        ("suspend", {"reason": "unpaid"}, "AccountSuspended", {"state": "SUSPENDED", "reason": "unpaid"}),
        ("resume", {}, "AccountResumed", {"state": "ACTIVE", "reason": None}),
    ]
    for word, form, event, changed in table:
        answer = await send(console, word, **form)
        assert (answer.status, word) == (200, word), answer.text
        account = (await data(console, path))["account"]
        assert {name: account[name] for name in changed} == changed
        newest = console.log.newest(1)[0]
        assert (newest["SecurityEvent"], newest["AccountID"]) == (event, "ADMIN")
    await send(console, "events", events="booking.expired, call.missed")
    assert (await data(console, path))["events"] == ["call.missed", "booking.expired"]
    closed = await send(console, "close", sure="yes")
    assert "Closed: 1 key revoked, 0 bookings ended." in closed.text
    shown = await data(console, path)
    assert shown["account"]["state"] == "CLOSED"
    assert all(key["revokedAt"] for key in shown["keys"])
    for word, form in (("key", {"to": "live"}), ("suspend", {"reason": ""}), ("close", {})):
        assert (await send(console, word, **form)).status == 422


async def test_keys_and_secrets_are_shown_once_on_purpose(console: Console) -> None:
    account_id = console.account_id
    admin = (await console.session(Role.ADMIN)).secret
    path = f"/console/accounts/{account_id}"
    stored = await console.storage.run(account_of, account_id)
    key = await act_by_path(console, f"{path}/key", admin, {"to": "live"})
    secret = key.text.partition("rn_live_")[2].partition("<")[0]
    found = (await data(console, path))["keys"][-1]
    assert found["endsWith"] == secret[-4:]
    opened = await ask(console, "GET", "/account", Authorization=f"Bearer rn_live_{secret}")
    assert (opened.status, json.loads(opened.text)["id"]) == (200, account_id)
    sandbox = await act_by_path(console, f"{path}/key", admin, {"to": "test"})
    assert "rn_test_" in sandbox.text
    assert {each["opensSandbox"] for each in (await data(console, path))["keys"]} == {False, True}
    foreign = await act_by_path(console, f"{path}/revoke", admin, {"key": console.examples["key"]})
    assert foreign.status == 422
    assert (await act_by_path(console, f"{path}/revoke", admin, {"key": found["id"]})).status == 200
    assert next(each for each in (await data(console, path))["keys"] if each["id"] == found["id"])["revokedAt"]
    assert (await ask(console, "GET", "/account", Authorization=f"Bearer rn_live_{secret}")).status == 401
    page = (await ask(console, "GET", path, admin)).text
    assert "whsec_" not in page + json.dumps(await data(console, path))
    assert secret not in page
    shown = await act_by_path(console, f"{path}/secret", admin, {})
    assert stored.webhook_secret.replace("+", "&#43;") in shown.text.replace("+", "&#43;")
    rotated = await act_by_path(console, f"{path}/rotate", admin, {"hours": "1"})
    assert rotated.text.count("whsec_") == 2
    assert {"KeyCreated", "KeyRevoked", "SecretShown", "SecretRotated"} <= set(console.events())
    for word, form in (
        ("rotate", {"hours": "200"}),
        ("events", {"events": "call.burnt"}),
        ("rename", {"newName": " "}),
        ("key", {"to": "everything"}),
    ):
        assert (await act_by_path(console, f"{path}/{word}", admin, form)).status == 422
