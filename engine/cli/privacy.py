"""`privacy …`: personal data."""

import asyncio
from typing import Annotated

import typer

from engine.cli.database import run_command
from engine.cli.options import YesOption
from engine.cli.output import Json, complain, show_one
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.masking import masked
from engine.domain.numbers import E164
from engine.local.data_dir import require_database
from engine.privacy.erasure import ErasureResult, Target, check
from engine.privacy.erasure import erase as erase_rows
from engine.privacy.scrub_files import SystemFiles, scrub
from engine.runtime.clock import SystemClock
from engine.storage.sqlite import SqliteStorage

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Personal data.")


@app.callback()
def _privacy() -> None:
    """Keeps `erase` a subcommand although it is the only one."""


@app.command()
def erase(
    number: Annotated[
        str | None,
        typer.Argument(
            help="The number, E.164. Leave it out to be asked: other users of this machine see command lines."
        ),
    ] = None,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Erase a person's number everywhere, as caller and as destination. Bookings that hide it end.

    Exit status 1 if a place still holds the number; the output names it.
    """
    settings = Settings()
    require_database(settings)
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper
    target = run_command(settings, check, E164(number or typer.prompt("Number to erase", err=True)))
    if not yes:
        typer.confirm(
            f"Erase {masked(target.number)} for good, and end the bookings that hide it?", abort=True, err=True
        )
    erased = asyncio.run(_erase_rows(settings, target, pepper))
    scrubbed = scrub(SystemFiles(settings.data_dir.absolute(), settings.database.absolute(), settings.journal), target)
    show_one({**erased.counts, "files": scrubbed.files}, as_json=as_json)
    remaining = [*erased.remaining, *scrubbed.remaining]
    for what in remaining:
        complain(f"still holds it: {what}")
    if remaining:
        raise typer.Exit(1)


async def _erase_rows(settings: Settings, target: Target, pepper: str) -> ErasureResult:
    storage = SqliteStorage(settings.database)
    try:
        return await erase_rows(storage, target, SystemClock().now(), policy_of(settings), pepper)
    finally:
        await storage.close()
