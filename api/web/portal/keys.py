"""API keys and the secret that signs callbacks. A key and a new secret are shown once."""

from collections.abc import Mapping
from typing import Any

from api.web.frame.protection import PageRefused
from api.web.frame.rendering import part_of
from api.web.frame.site import Action, Outcome, Page, Visit
from api.web.portal.entry import account_of
from engine.accounts.keys import NewKey, create_key, revoke_key
from engine.callbacks import secrets as callback_secrets
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId
from engine.domain.times import DAY_MS, EpochMs, rfc3339
from engine.domain.web_access import Role
from engine.storage.transaction import Transaction

KEYS, SECRET = "/keys", "/secret"
REFRESH_SECONDS = 30
# Valid keys at a time. Revoked ones stay, so this is also how many an account may make here within a day.
MAX_KEYS = 50
# How long the old secret also signs, in seconds, by the choices of the form.
OVERLAPS = {"none": 0, "day": 86_400, "week": 604_800}


def key_pages() -> tuple[Page, ...]:
    """Returns the pages."""
    return (
        Page(KEYS, "API keys", Role.CUSTOMER_VIEWER, "portal/keys.html", load_keys, refresh_seconds=REFRESH_SECONDS),
        Page(
            SECRET,
            "Webhook secret",
            Role.CUSTOMER_VIEWER,
            "portal/secret.html",
            load_secret,
            api="/webhook-secret",
            refresh_seconds=REFRESH_SECONDS,
        ),
    )


def key_actions() -> tuple[Action, ...]:
    """Returns what can be done."""
    full, one, overlap = Role.CUSTOMER, frozenset({"id"}), frozenset({"overlap"})
    return (
        Action(f"{KEYS}/create", "Make a key", "KeyCreated", full, make_key),
        Action(f"{KEYS}/revoke", "Revoke a key", "KeyRevoked", full, revoke, one),
        Action(f"{SECRET}/show", "Show the secret", "SecretShown", full, show_secret),
        Action(f"{SECRET}/rotate", "Replace the secret", "SecretRotated", full, rotate_secret, overlap),
    )


async def load_keys(visit: Visit) -> Mapping[str, Any]:
    """Returns the account's keys, newest first, by their last four characters."""
    rows = await visit.services.reads.keys_of(account_of(visit))
    times = {"created_at": "createdAt", "last_used_at": "lastUsedAt", "revoked_at": "revokedAt"}
    keys = [
        {"id": row["id"], "hint": row["hint"]}
        | {name: None if row[column] is None else rfc3339(EpochMs(row[column])) for column, name in times.items()}
        for row in reversed(rows)
    ]
    return {"keys": keys}


async def load_secret(visit: Visit) -> Mapping[str, Any]:
    """Returns until when an old secret also signs. The secrets themselves are shown only on request."""
    secrets = await visit.deps.reads.webhook_secrets(account_of(visit))
    both = len(secrets.valid_at(visit.now)) > 1 and secrets.old_until is not None
    return {"oldSecretUntil": rfc3339(EpochMs(secrets.old_until or 0)) if both else None, "overlaps": list(OVERLAPS)}


async def make_key(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Makes a key and shows it once."""
    made = await visit.deps.run(_make_key, account_of(visit), visit.deps.pepper, visit.now)
    shown = {"id": made.id, "key": made.secret}
    return Outcome(
        "Copy the key now: it is not shown again.",
        shown,
        html=part_of(visit, "portal/new_key.html", shown),
        subject=made.id,
    )


def _make_key(tx: Transaction, account_id: AccountId, pepper: str, now: EpochMs) -> NewKey:
    keys = tx.accounts.keys_of(account_id)
    if sum(each["revoked_at"] is None for each in keys) >= MAX_KEYS:
        raise PageRefused(422, "Too many keys", f"The account has {MAX_KEYS} valid keys: revoke one first.")
    if sum(each["created_at"] > now - DAY_MS for each in keys) >= MAX_KEYS:
        raise PageRefused(429, "Too many keys", f"The account has made {MAX_KEYS} keys within a day: try again later.")
    return create_key(tx, account_id, pepper, now)


async def revoke(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Revokes a key of the account."""
    account_id, key_id = account_of(visit), form["id"]

    def carry_out(tx: Transaction) -> None:
        if key_id not in [each["id"] for each in tx.accounts.keys_of(account_id)]:
            raise NotFound("there is no such key")
        revoke_key(tx, key_id, visit.now)

    await visit.deps.run(carry_out)
    return Outcome("Revoked. Requests with it are refused from now on.", subject=key_id)


async def show_secret(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Shows the secret."""
    secrets = await visit.deps.reads.webhook_secrets(account_of(visit))
    return _secret_outcome(visit, "The secret is shown.", secrets.present)


async def rotate_secret(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Replaces the secret and shows the new one."""
    if form["overlap"] not in OVERLAPS:
        raise PageRefused(422, "The form is not valid", "`overlap` must be none, day or week.")
    overlap = OVERLAPS[form["overlap"]]
    secrets = await visit.deps.run(callback_secrets.rotate, account_of(visit), overlap, visit.now)
    return _secret_outcome(visit, "The secret is replaced. Give your receivers the new one.", secrets.present)


def _secret_outcome(visit: Visit, message: str, secret: str) -> Outcome:
    shown = {"message": message, "secret": secret}
    return Outcome(message, {"secret": secret}, html=part_of(visit, "portal/new_secret.html", shown))
