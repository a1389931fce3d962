"""`ledger …`: proof that the credit of every booking adds up."""

from dataclasses import asdict

import typer

from engine.cdr.ledger import Discrepancy, audit_page
from engine.cli.database import run_command
from engine.cli.output import Json, complain, show
from engine.config.settings import Settings
from engine.domain.ids import BookingId
from engine.domain.wording import counted

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Proof that the credit of every booking adds up.")


@app.callback()
def _ledger() -> None:
    """Keeps `verify` a subcommand although it is the only one."""


@app.command()
def verify(as_json: Json = False) -> None:
    """Check for every booking that grants, leases, settlements and call records explain its credit.

    Exit status 1 if a booking's credit does not add up.
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
    complain(f"{counted(bookings, 'booking')} verified, {counted(len(discrepancies), 'discrepancy')}")
    if discrepancies:
        raise typer.Exit(1)
