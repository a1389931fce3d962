"""The command line, `rented-numbers …`. Exit status 0; 1 for what was refused, with the reason; 2 for wrong usage."""

import os
import sys
from typing import NoReturn

import typer

from engine.cli import (
    bookings,
    callback_log,
    calls,
    cdr,
    customers,
    doctor,
    events,
    explanations,
    ledger,
    pool,
    privacy,
    simulate,
    system,
    webhook_secrets,
)
from engine.cli.complaints import EXPECTED, complaints
from engine.cli.output import complain
from engine.runtime import logs

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Hides a telephone number behind a rented one.",
)
app.command()(system.run)
app.command()(system.setup)
app.command()(system.serve)
app.command()(system.clean)
app.command()(doctor.doctor)
app.command("asterisk-config")(system.asterisk_config)
app.command()(explanations.explain)
app.add_typer(pool.app, name="numbers")
app.add_typer(bookings.app, name="bookings")
app.add_typer(cdr.app, name="cdr")
app.add_typer(calls.app, name="calls")
app.add_typer(ledger.app, name="ledger")
app.add_typer(callback_log.app, name="callbacks")
app.add_typer(privacy.app, name="privacy")
app.add_typer(simulate.app, name="simulate")
customers.accounts_app.command("events")(events.events)
app.add_typer(customers.accounts_app, name="accounts")
app.add_typer(customers.keys_app, name="keys")
app.add_typer(webhook_secrets.app, name="secrets")


def main() -> NoReturn:
    # Whatever we make is its owner's only, also in a directory that others can read.
    os.umask(0o077)
    # Until a command that serves reads its own level: what goes wrong beneath a command is said there, and masked.
    logs.configure("warning")
    try:
        app()
    except EXPECTED as error:
        for line in complaints(error):
            complain(line)
    sys.exit(1)
