"""`privacy …`: personal data."""

import asyncio
import sys
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
from engine.domain.spellings import Spellings
from engine.local.data_dir import require_database
from engine.privacy.erasure import check
from engine.privacy.erasure import erase as erase_rows
from engine.privacy.findings import Findings
from engine.privacy.receipt import Receipt
from engine.privacy.scrub_files import SystemFiles, scrub
from engine.runtime.clock import SystemClock
from engine.storage.database import open_storage

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
    """Erase a person's number everywhere, in all its spellings. Bookings that hide it end.

    Prints a receipt. Exit status 1 if a place still holds the number or has similar digits; the receipt names
    the place.
    """
    settings = Settings()
    require_database(settings)
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper
    spellings = run_command(settings, check, E164(number or typer.prompt("Number to erase", err=True)))
    if not yes:
        typer.confirm(
            f"Erase {masked(spellings.number)} for good, and end the bookings that hide it?", abort=True, err=True
        )
    rows = asyncio.run(_erase_rows(settings, spellings, pepper))
    file = settings.database.absolute() if settings.database_url is None else None
    files = SystemFiles(settings.data_dir.absolute(), file, settings.journal)
    receipt = Receipt(spellings.number, rows, scrub(files, spellings))
    if as_json:
        show_one(receipt.as_record(), as_json=True)
    else:
        sys.stdout.writelines(f"{line}\n" for line in receipt.lines())
    for line in receipt.complaints():
        complain(line)
    if not receipt.is_complete:
        raise typer.Exit(1)


async def _erase_rows(settings: Settings, spellings: Spellings, pepper: str) -> Findings:
    storage = open_storage(settings.books)
    try:
        return await erase_rows(storage, spellings, SystemClock().now(), policy_of(settings), pepper)
    finally:
        await storage.close()
