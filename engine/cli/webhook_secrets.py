"""`secrets …`: what signs callbacks."""

import re
from typing import Annotated, Any

import typer

from engine.accounts import accounts
from engine.callbacks import signing
from engine.cli.database import run_command
from engine.cli.output import Json, show_one
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.times import EpochMs, rfc3339
from engine.runtime.clock import SystemClock
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets

app = typer.Typer(no_args_is_help=True, help="What signs callbacks.")

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")

Account = Annotated[str, typer.Argument(help="Id or name of the account.")]


@app.command("show")
def show_secrets(account: Account, as_json: Json = False) -> None:
    """What an account verifies its callbacks with."""
    now = SystemClock().now()

    def look_up(tx: Transaction) -> tuple[str, SigningSecrets]:
        found = accounts.account_of(tx, account)
        return found.id, signing.secrets_at(tx, found.id, now)

    show_one(_shown(*run_command(Settings(), look_up)), as_json=as_json)


@app.command()
def rotate(
    account: Account,
    overlap: Annotated[
        str, typer.Option(help="How long the present secret signs too: 90s, 30m, 24h, up to 7d; 0s: not at all.")
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Make another secret. Until the overlap is over callbacks have two signatures, and either will do.

    One that was replaced before ends at once, even if its own overlap is not over.
    """
    now, seconds = SystemClock().now(), _seconds(overlap)

    def carry_out(tx: Transaction) -> tuple[str, SigningSecrets]:
        found = accounts.account_of(tx, account)
        return found.id, signing.rotate(tx, found.id, seconds, now)

    show_one(_shown(*run_command(Settings(), carry_out)), as_json=as_json)


def _seconds(text: str) -> int:
    duration = _DURATION.fullmatch(text)
    if duration is None:
        raise InvalidInput([f"{text!r} is no duration, such as 90s, 30m, 24h or 7d"])
    return int(duration[1]) * SECONDS[duration[2]]


def _shown(account_id: str, secrets: SigningSecrets) -> dict[str, Any]:
    return {
        "accountId": account_id,
        "secret": secrets.present,
        "oldSecret": secrets.old,
        "oldSecretUntil": None if secrets.old_until is None else rfc3339(EpochMs(secrets.old_until)),
    }
