"""`accounts …` and `keys …`: who may use the API, and which events they chose."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic.alias_generators import to_camel

from engine.accounts import accounts, keys
from engine.callbacks import notifications
from engine.cli.database import run_command
from engine.cli.options import AccountArgument
from engine.cli.output import Json, show, show_one
from engine.config import secrets
from engine.config.settings import Settings
from engine.domain.account_limits import MOST, AccountLimits
from engine.domain.errors import InvalidInput
from engine.domain.notifications import EventType
from engine.domain.times import EpochMs, rfc3339
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock
from engine.storage.transaction import Transaction

accounts_app = typer.Typer(add_completion=False, no_args_is_help=True, help="Customers' accounts.")
keys_app = typer.Typer(add_completion=False, no_args_is_help=True, help="API keys.")


@accounts_app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Unique name of the customer.")], as_json: Json = False
) -> None:
    """Make an account, and show the secret with which the customer verifies callbacks."""
    account = run_command(Settings(), accounts.create_account, name, SystemClock().now())
    show_one({"id": account.id, "name": account.name, "webhookSecret": account.webhook_secret}, as_json=as_json)


@accounts_app.command("list")
def list_accounts(as_json: Json = False) -> None:
    """List all accounts without their secrets, and sandboxes with the account that they belong to."""
    rows = run_command(Settings(), lambda tx: tx.accounts.all())
    show(
        [
            _with_times({"id": row["id"], "name": row["name"], "testOf": row["test_of"]}, createdAt=row["created_at"])
            for row in rows
        ],
        as_json=as_json,
    )


@accounts_app.command("events")
def choose_events(
    account: AccountArgument,
    chosen: Annotated[
        str | None,
        typer.Option("--set", help="All further events that the account shall get, separated by commas; empty: none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show or set the further events that an account gets callbacks about. A change takes effect at once."""
    record = run_command(Settings(), _events, account, None if chosen is None else _read_events(chosen))
    if not as_json:
        record = record | {"events": ", ".join(record["events"]) or "none"}
    show_one(record, as_json=as_json)


def _events(tx: Transaction, account: str, chosen: list[EventType] | None) -> dict[str, Any]:
    account_id = accounts.account_of(tx, account).id
    if chosen is not None:
        notifications.choose_events(tx, account_id, chosen)
    held = tx.notifications.chosen(account_id)
    return {"accountId": account_id, "events": [str(kind) for kind in EventType if kind in held]}


def _read_events(text: str) -> list[EventType]:
    """Returns the events that the text names. Raises InvalidInput, which lists all that exist."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = {str(kind): kind for kind in EventType}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise InvalidInput([f"there is no event {unknown[0][:40]!r}; there are {', '.join(known)}"])
    return [known[word] for word in words]


@accounts_app.command("limits")
def limits(
    account: AccountArgument,
    max_bookings: Annotated[
        int | None,
        typer.Option(min=1, max=MOST.max_bookings, help="Bookings that it may hold, with its numbers in quarantine."),
    ] = None,
    new_bookings_a_day: Annotated[
        int | None,
        typer.Option(min=1, max=MOST.new_bookings_a_day, help="Bookings that it may make within any 24 hours."),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=MOST.requests_per_minute, help="API requests that it may send within a minute."),
    ] = None,
    stored_megabytes: Annotated[
        int | None,
        typer.Option(min=1, max=MOST.stored_megabytes, help="Megabytes that its requests may have stored."),
    ] = None,
    calls_at_once: Annotated[
        int | None,
        typer.Option(min=1, max=MOST.calls_at_once, help="Calls that it may have at once, ringing ones included."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Drop its own limits first, so that those of the settings apply again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show or set the limits of an account, and show what it uses of them. A change takes effect at once.

    `own` names the limits that this account has of its own; the others are those of the settings.
    """
    options = {
        "max_bookings": max_bookings,
        "new_bookings_a_day": new_bookings_a_day,
        "requests_per_minute": requests_per_minute,
        "stored_megabytes": stored_megabytes,
        "calls_at_once": calls_at_once,
    }
    own = {name: value for name, value in options.items() if value is not None}
    settings = Settings()
    if own or reset:
        run_command(settings, accounts.set_limits, account, own, reset=reset)
    record = run_command(settings, _limits, account, settings.account_limits)
    if not as_json:
        record = record | {"own": ", ".join(record["own"]) or "none"}
    show_one(record, as_json=as_json)


def _limits(tx: Transaction, account: str, default: AccountLimits) -> dict[str, Any]:
    account_id = accounts.account_of(tx, account).id
    in_force = tx.accounts.limits(account_id, default)
    used = tx.accounts.summary(account_id, in_force, tx.sandboxes.now(account_id, SystemClock().now()))
    return {
        "accountId": account_id,
        **{to_camel(name): limit for name, limit in asdict(in_force).items()},
        "own": [to_camel(name) for name in tx.accounts.own_limits(account_id)],
        "bookingsHeld": used.bookings_held,
        "numbersInQuarantine": used.numbers_in_quarantine,
        "newBookingsLastDay": used.new_bookings,
        "callsUp": used.calls_up,
        "storedBytes": tx.accounts.stored_bytes(account_id),
    }


@keys_app.command("create")
def create_key(
    account: AccountArgument,
    test: Annotated[bool, typer.Option("--test", help="Make a key to the account's sandbox.")] = False,
    as_json: Json = False,
) -> None:
    """Make an API key. It is shown only now: the system keeps a digest of it.

    A sandbox has simulated numbers, calls and time. It signs its callbacks with a secret of its own, shown as well.
    """
    settings = Settings()
    require_database(settings)
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper
    key = run_command(settings, keys.create_key, account, pepper, SystemClock().now(), test=test)
    record = {"id": key.id, "accountId": key.account_id, "key": key.secret}
    if test:
        record["webhookSecret"] = run_command(settings, accounts.account_of, key.account_id).webhook_secret
    show_one(record, as_json=as_json)


@keys_app.command("list")
def list_keys(account: AccountArgument, as_json: Json = False) -> None:
    """List the keys of an account and of its sandbox.

    Of each key: its last four characters, when it was last used (to the minute), and when it was revoked.
    """
    rows = run_command(Settings(), keys.keys_of, account)
    show(
        [
            _with_times(
                {"id": row["id"], "endsWith": row["hint"], "test": row["is_test"]},
                createdAt=row["created_at"],
                lastUsedAt=row["last_used_at"],
                revokedAt=row["revoked_at"],
            )
            for row in rows
        ],
        as_json=as_json,
    )


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")], as_json: Json = False
) -> None:
    """Revoke an API key: the API answers 401 to it from now on. The account's other keys stay valid."""
    revoked_at = run_command(Settings(), keys.revoke_key, key, SystemClock().now())
    show_one(_with_times({"id": key}, revokedAt=revoked_at), as_json=as_json)


def _with_times(record: dict[str, Any], **instants: int | None) -> dict[str, Any]:
    return record | {name: None if instant is None else rfc3339(EpochMs(instant)) for name, instant in instants.items()}
