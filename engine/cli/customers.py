"""`accounts …` and `keys …`: who may use the API."""

from typing import Annotated

import typer

from engine import accounts, secrets
from engine.cli.database import run_command
from engine.cli.output import Json, show_one
from engine.clock import SystemClock
from engine.settings import Settings

accounts_app = typer.Typer(no_args_is_help=True, help="Customers.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys.")


@accounts_app.callback()
def _accounts() -> None:
    """Makes `create` a subcommand although it is the only one."""


@keys_app.callback()
def _keys() -> None:
    """Likewise."""


@accounts_app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Unique name of the customer.")], as_json: Json = False
) -> None:
    """Make an account. Its secret for verifying callbacks is shown."""
    account = run_command(Settings(), accounts.create_account, name, SystemClock().now())
    show_one({"id": account.id, "name": account.name, "webhookSecret": account.webhook_secret}, as_json=as_json)


@keys_app.command("create")
def create_key(
    account: Annotated[str, typer.Argument(help="Id or name of the account.")], as_json: Json = False
) -> None:
    """Make an API key. It is shown this once; only a digest of it is kept."""
    settings = Settings()
    directory = settings.data_dir / "secrets"
    secrets.ensure(directory)
    pepper = secrets.load(directory).key_pepper
    key = run_command(settings, accounts.create_key, account, pepper, SystemClock().now())
    show_one({"id": key.id, "accountId": key.account_id, "key": key.secret}, as_json=as_json)
