"""Accounts with their states, limits, keys and events, and what an administrator does to them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic.alias_generators import to_camel

from api.schemas.fields import ACCOUNT_ID
from api.web.console.confirming import check_sure
from api.web.console.lists import BEFORE, PAGE, page_of, place_of, text_of
from api.web.frame.site import Action, Outcome, Page, Visit
from engine.accounts import accounts, keys, lifecycle
from engine.bookings import closing
from engine.callbacks import notifications, secrets
from engine.control.requests import EndCalls
from engine.domain.account_state import state_of
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId
from engine.domain.notifications import EventType
from engine.domain.times import EpochMs, rfc3339
from engine.domain.web_access import Role
from engine.domain.wording import counted

PATH = "/accounts"
ONE = f"{PATH}/{{id}}"
HOUR_SECONDS = 3_600


def accounts_pages() -> tuple[Page, ...]:
    """Returns the list and the page of one account."""
    return (
        Page(
            PATH,
            "Accounts",
            Role.VIEWER,
            "console/accounts.html",
            load_list,
            command="accounts list",
            parameters=frozenset({"name", BEFORE}),
        ),
        Page(
            ONE,
            "Account",
            Role.VIEWER,
            "console/account.html",
            load_one,
            command="accounts limits {id}",
            api="/account",
            placeholders={"id": ACCOUNT_ID},
            in_menu=False,
            example="account",
        ),
    )


def account_actions() -> tuple[Action, ...]:
    """Returns what can be done to accounts."""
    every, one = accounts_pages()
    admin = Role.ADMIN
    rotate_command = "secrets rotate {id} --overlap 24h"
    return (
        every.action(
            "create",
            "Make an account",
            "AccountCreated",
            admin,
            create_account,
            {"name"},
            command="accounts create NAME",
        ),
        one.action(
            "rename", "Rename", "AccountRenamed", admin, rename, {"newName"}, command="accounts rename {id} NAME"
        ),
        one.action(
            "suspend", "Suspend", "AccountSuspended", admin, suspend, {"reason"}, command="accounts suspend {id}"
        ),
        one.action("resume", "Resume", "AccountResumed", admin, resume, command="accounts resume {id}"),
        one.action("key", "Make a key", "KeyCreated", admin, create_key, {"to"}, command="keys create {id}"),
        one.action("revoke", "Revoke a key", "KeyRevoked", admin, revoke_key, {"key"}, command="keys revoke KEY"),
        one.action(
            "events",
            "Choose events",
            "EventsChosen",
            admin,
            choose_events,
            {"events"},
            command="accounts events {id} --set …",
        ),
        one.action("secret", "Show the secrets", "SecretShown", admin, show_secrets, command="secrets show {id}"),
        one.action("rotate", "Rotate the secret", "SecretRotated", admin, rotate, {"hours"}, command=rotate_command),
        one.action("close", "Close", "AccountClosed", admin, close, {"sure"}, command="accounts close {id}"),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of accounts, newest first. Sandboxes name the account that they belong to."""
    name, before = text_of(visit, "name"), place_of(visit, ACCOUNT_ID)
    rows = sorted(await visit.services.reads.accounts(), key=lambda each: str(each["id"]), reverse=True)
    found = [each for each in rows if name.lower() in each["name"].lower() and (before is None or each["id"] < before)]
    shown, more_after = page_of(found[: PAGE + 1], None, lambda each: each["id"])
    return {"name": name, "accounts": [_row(each) for each in shown], "next": more_after}


def _row(account: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": account["id"],
        "name": account["name"],
        "testOf": account["test_of"],
        "state": state_of(account["suspended_at"], account["closed_at"]).value,
        "createdAt": rfc3339(account["created_at"]),
        "suspendedAt": _time(account["suspended_at"]),
        "closedAt": _time(account["closed_at"]),
        "reason": account["suspended_reason"],
    }


def _time(at: EpochMs | None) -> str | None:
    return None if at is None else rfc3339(at)


def _id_of(visit: Visit) -> AccountId:
    return AccountId(visit.request.match_info["id"])


async def load_one(visit: Visit) -> Mapping[str, Any]:
    """Returns an account with its limits, keys and events. Raises NotFound."""
    account_id, reads = _id_of(visit), visit.services.reads
    rows = {row["id"]: row for row in await reads.accounts()}
    if account_id not in rows:
        raise NotFound("there is no such account")
    seen = await reads.account(account_id, visit.deps.policy.account_limits, visit.now)
    sandbox = next((row["id"] for row in rows.values() if row["test_of"] == account_id), None)
    own, tried = await reads.keys_of(account_id), await reads.keys_of(sandbox) if sandbox else []
    return {
        "account": _row(rows[account_id]) | {"sandbox": sandbox},
        "limits": {to_camel(name): limit for name, limit in asdict(seen.limits).items()},
        "used": {
            "bookingsHeld": seen.bookings_held,
            "numbersInQuarantine": seen.numbers_in_quarantine,
            "newBookingsLastDay": seen.new_bookings,
            "callsUp": seen.calls_up,
        },
        "keys": [_key_row(key) for key in own] + [_key_row(key, opens_sandbox=True) for key in tried],
        "events": [kind.value for kind in seen.events],
        "allEvents": [kind.value for kind in EventType],
    }


def _key_row(key: Mapping[str, Any], *, opens_sandbox: bool = False) -> dict[str, Any]:
    return {
        "id": key["id"],
        "opensSandbox": opens_sandbox,
        "endsWith": key["hint"],
        "createdAt": rfc3339(key["created_at"]),
        "lastUsedAt": _time(key["last_used_at"]),
        "revokedAt": _time(key["revoked_at"]),
    }


async def create_account(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Makes an account."""
    account = await visit.deps.run(accounts.create_account, form["name"].strip(), visit.now)
    return Outcome(
        "Made. Make its keys on its page, which also shows its secret.", {"id": account.id}, subject=account.id
    )


async def rename(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Gives an account another name."""
    account = await visit.deps.run(lifecycle.rename, _id_of(visit), form["newName"].strip())
    return Outcome("Renamed.", {"name": account.name}, subject=account.id)


async def suspend(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Suspends an account and its sandbox."""
    account = await visit.deps.run(lifecycle.suspend, _id_of(visit), form["reason"].strip() or None, visit.now)
    return Outcome("Suspended: its calls and its keys are refused.", {"state": account.state.value}, subject=account.id)


async def resume(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Lifts a suspension."""
    account = await visit.deps.run(lifecycle.resume, _id_of(visit))
    return Outcome("Resumed.", {"state": account.state.value}, subject=account.id)


async def create_key(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Makes an API key, which is shown in the answer only."""
    if form["to"] not in {"live", "test"}:
        raise InvalidInput(["--to must be live or test"])
    is_test = form["to"] == "test"
    key = await visit.deps.run(keys.create_key, _id_of(visit), visit.deps.pepper, visit.now, test=is_test)
    return Outcome("Copy the key now: it is not shown again.", {"id": key.id, "key": key.secret}, subject=key.id)


async def revoke_key(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Revokes a key of the account or of its sandbox."""
    named = form["key"]
    if named not in {each["id"] for each in (await load_one(visit))["keys"]}:
        raise InvalidInput(["--key must be a key of this account or of its sandbox"])
    revoked_at = await visit.deps.run(keys.revoke_key, named, visit.now)
    return Outcome("Revoked.", {"id": named, "revokedAt": rfc3339(revoked_at)}, subject=named)


async def choose_events(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Chooses the further events for which the account gets callbacks."""
    words = [word.strip() for word in form["events"].split(",") if word.strip()]
    known = {kind.value: kind for kind in EventType}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise InvalidInput([f"--events has {unknown[0][:40]!r}; possible are {', '.join(known)}"])
    await visit.deps.run(notifications.choose_events, _id_of(visit), [known[word] for word in words])
    return Outcome("Chosen.", {"events": words}, subject=_id_of(visit))


async def show_secrets(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Shows the secrets that sign callbacks."""
    await load_one(visit)
    found = await visit.deps.run(secrets.secrets_at, _id_of(visit), visit.now)
    return Outcome(
        "The secrets that sign now are shown.", {"secrets": found.valid_at(visit.now)}, subject=_id_of(visit)
    )


async def rotate(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Makes a new secret; the present one also signs for a while."""
    hours = form["hours"].strip()
    if not hours.isdecimal() or len(hours) > 3:
        raise InvalidInput(["--hours must be a whole number from 0 to 168"])
    await load_one(visit)
    found = await visit.deps.run(secrets.rotate, _id_of(visit), int(hours) * HOUR_SECONDS, visit.now)
    return Outcome(
        "Rotated. The first secret is the new one.", {"secrets": found.valid_at(visit.now)}, subject=_id_of(visit)
    )


async def close(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Closes an account without live calls for good."""
    check_sure(form)
    policy = visit.deps.policy
    closed = await visit.deps.run(closing.close, _id_of(visit), visit.now)
    ended = 0
    while batch := await visit.deps.run(closing.end_bookings_of_closed, visit.now, policy):
        ended += batch
    for booking_id in dict.fromkeys(closed.live):
        await visit.services.operator.end_calls(EndCalls(booking_id))
    message = f"Closed: {counted(closed.keys_revoked, 'key')} revoked, {counted(ended, 'booking')} ended."
    return Outcome(message, {"keysRevoked": closed.keys_revoked, "bookingsEnded": ended}, subject=_id_of(visit))
