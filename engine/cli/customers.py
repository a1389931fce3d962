"""`accounts …` and `keys …`: who may use the API."""

from typing import Annotated, Any

import typer

from engine.accounts import accounts, keys
from engine.cli.database import run_command
from engine.cli.output import Json, show, show_one
from engine.config import secrets
from engine.config.settings import Settings
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs, rfc3339
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock

accounts_app = typer.Typer(no_args_is_help=True, help="Customers.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys.")


@accounts_app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Unique name of the customer.")], as_json: Json = False
) -> None:
    """Make an account. Its secret for verifying callbacks is shown."""
    account = run_command(Settings(), accounts.create_account, name, SystemClock().now())
    show_one({"id": account.id, "name": account.name, "webhookSecret": account.webhook_secret}, as_json=as_json)


@accounts_app.command("list")
def list_accounts(as_json: Json = False) -> None:
    """All accounts, without their secrets; test worlds with the account that they belong to."""
    rows = run_command(Settings(), lambda tx: tx.accounts.all())
    show(
        [
            _with_times({"id": row["id"], "name": row["name"], "testOf": row["test_of"]}, createdAt=row["created_at"])
            for row in rows
        ],
        as_json=as_json,
    )


@keys_app.command("create")
def create_key(
    account: Annotated[str, typer.Argument(help="Id or name of the account.")],
    test: Annotated[bool, typer.Option("--test", help="A key to the account's test world.")] = False,
    as_json: Json = False,
) -> None:
    """Make an API key. It is shown this once; only a digest of it is kept.

    A test world has simulated numbers, calls and time, and signs its callbacks with a secret of its own, which is
    shown too.
    """
    settings = Settings()
    require_database(settings)
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper
    key = run_command(settings, keys.create_key, AccountId(account), pepper, SystemClock().now(), test=test)
    record = {"id": key.id, "accountId": key.account_id, "key": key.secret}
    if test:
        record["webhookSecret"] = run_command(settings, accounts.account_of, key.account_id).webhook_secret
    show_one(record, as_json=as_json)


@keys_app.command("list")
def list_keys(
    account: Annotated[str, typer.Argument(help="Id or name of the account.")], as_json: Json = False
) -> None:
    """The keys of an account and of its test world: of each its last four characters, when it was used last (to the
    minute) and revoked."""
    rows = run_command(Settings(), keys.keys_of, AccountId(account))
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
    """End an API key. From now on the API answers 401 to it; the account's other keys stay."""
    revoked_at = run_command(Settings(), keys.revoke_key, key, SystemClock().now())
    show_one(_with_times({"id": key}, revokedAt=revoked_at), as_json=as_json)


def _with_times(record: dict[str, Any], **instants: int | None) -> dict[str, Any]:
    return record | {name: None if instant is None else rfc3339(EpochMs(instant)) for name, instant in instants.items()}
