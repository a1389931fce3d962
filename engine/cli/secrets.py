"""`secrets …`: the secrets that sign callbacks."""

import re
from typing import Annotated, Any

import typer

from engine.accounts import accounts
from engine.callbacks import secrets
from engine.cli.database import run_command
from engine.cli.options import AccountArgument, YesOption
from engine.cli.output import Json, complain, show_one
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.times import EpochMs, rfc3339
from engine.runtime.clock import SystemClock
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The secrets that sign callbacks.")

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


@app.command("show")
def show_secrets(account: AccountArgument, as_json: Json = False) -> None:
    """Show the secrets with which an account verifies its callbacks."""
    show_one(_shown(*run_command(Settings(), _secrets_at, account, SystemClock().now())), as_json=as_json)


@app.command()
def rotate(
    account: AccountArgument,
    overlap: Annotated[
        str,
        typer.Option(help="How long the present secret still signs as well: 90s, 30m, 24h, up to 7d; 0s: not at all."),
    ] = "24h",
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Make a new secret. During the overlap callbacks carry two signatures, and either verifies.

    A secret that an earlier rotation replaced stops signing at once, even within its own overlap. If it still signs,
    the command asks first.
    """
    clock, seconds = SystemClock(), _seconds(overlap)
    old_until = _shown(*run_command(Settings(), _secrets_at, account, clock.now()))["oldSecretUntil"]
    if old_until is not None and not yes:
        complain(f"the secret before the present one signs until {old_until}: a receiver may still need it")
        typer.confirm("Rotate again, so that it stops signing at once?", abort=True, err=True)

    def carry_out(tx: Transaction) -> tuple[str, SigningSecrets]:
        found = accounts.account_of(tx, account)
        return found.id, secrets.rotate(tx, found.id, seconds, clock.now())

    show_one(_shown(*run_command(Settings(), carry_out)), as_json=as_json)


def _secrets_at(tx: Transaction, account: str, now: EpochMs) -> tuple[str, SigningSecrets]:
    found = accounts.account_of(tx, account)
    return found.id, secrets.secrets_at(tx, found.id, now)


def _seconds(text: str) -> int:
    """Returns the duration in seconds. Raises InvalidInput."""
    duration = _DURATION.fullmatch(text)
    if duration is None:
        raise InvalidInput([f"{text!r} is not a duration such as 90s, 30m, 24h or 7d"])
    return int(duration[1]) * SECONDS[duration[2]]


def _shown(account_id: str, secrets: SigningSecrets) -> dict[str, Any]:
    return {
        "accountId": account_id,
        "secret": secrets.present,
        "oldSecret": secrets.old,
        "oldSecretUntil": None if secrets.old_until is None else rfc3339(EpochMs(secrets.old_until)),
    }
