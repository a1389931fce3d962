"""`ledger …`: whether the books are right."""

from dataclasses import asdict

import typer

from engine.cdr.ledger import Discrepancy, audit_page
from engine.cli.database import run_command
from engine.cli.output import Json, complain, show
from engine.config.settings import Settings
from engine.domain.ids import BookingId

app = typer.Typer(no_args_is_help=True, help="Whether the books are right.")


@app.callback()
def _ledger() -> None:
    """Makes `verify` a subcommand although it is the only one."""


@app.command()
def verify(as_json: Json = False) -> None:
    """Prove for every booking that its credit is explained by grants, leases, settlements and call records.

    Exit status 1 if it is not.
    """
    settings = Settings()
    bookings, discrepancies = 0, list[Discrepancy]()
    after: BookingId | None = None
    while True:
        page = run_command(settings, audit_page, after)
        bookings += page.bookings
        discrepancies += page.discrepancies
        after = page.last
        if after is None:
            break
    if discrepancies or as_json:
        show([asdict(each) for each in discrepancies], as_json=as_json)
    complain(f"{bookings} bookings verified, {len(discrepancies)} discrepancies")
    if discrepancies:
        raise typer.Exit(1)
