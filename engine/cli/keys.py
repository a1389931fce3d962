"""`keys …`: the API keys of accounts and of their sandboxes."""

from typing import Annotated

import typer

from engine.accounts import accounts, keys
from engine.cli.database import run_command
from engine.cli.options import AccountArgument
from engine.cli.output import Json, show, show_one, with_times
from engine.config import secrets
from engine.config.settings import Settings
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock

app = typer.Typer(add_completion=False, no_args_is_help=True, help="API keys.")


@app.command("create")
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


@app.command("list")
def list_keys(account: AccountArgument, as_json: Json = False) -> None:
    """List the keys of an account and of its sandbox.

    Of each key: its last four characters, when it was last used (to the minute), and when it was revoked.
    """
    rows = run_command(Settings(), keys.keys_of, account)
    show(
        [
            with_times(
                {"id": row["id"], "endsWith": row["hint"], "test": row["is_test"]},
                createdAt=row["created_at"],
                lastUsedAt=row["last_used_at"],
                revokedAt=row["revoked_at"],
            )
            for row in rows
        ],
        as_json=as_json,
    )


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")], as_json: Json = False
) -> None:
    """Revoke an API key: the API answers 401 to it from now on. The account's other keys stay valid."""
    revoked_at = run_command(Settings(), keys.revoke_key, key, SystemClock().now())
    show_one(with_times({"id": key}, revokedAt=revoked_at), as_json=as_json)
