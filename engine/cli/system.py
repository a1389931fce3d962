"""The commands that set up, run, check and clear the system.

Each command imports what it needs when it is called: `serve` needs neither `doctor` nor the supervisor.
"""

# ruff: noqa: PLC0415  see the docstring
import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from engine.cli.options import YesOption
from engine.cli.output import Json, complain, console, show
from engine.config import secrets
from engine.config.settings import Settings
from engine.runtime import logs

VERDICT_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[red]failed[/]"}

run_app, setup_app, serve_app = (
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
)
clean_app, doctor_app, asterisk_config_app, kamailio_config_app = (
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
)


@run_app.command()
def run() -> None:
    """Set up what is missing and run everything on this machine until Ctrl-C: Asterisk, engine, API."""
    from engine.local.supervisor import run as run_all

    settings = Settings()
    logs.configure(settings.log_level)
    run_all(settings, console)


@setup_app.command()
def setup(
    new_key_pepper: Annotated[
        bool, typer.Option("--new-key-pepper", help="Replace a lost key pepper. All API keys become invalid.")
    ] = False,
) -> None:
    """Make what a first start needs: secrets, database, and in the demo profile an account and numbers."""
    from engine.local.setup import set_up

    set_up(Settings(), complain, new_pepper=new_key_pepper)


@serve_app.command()
def serve() -> None:
    """Run the engine alone: API, FastAGI and callbacks. Something else must start Asterisk."""
    from engine.app import serve as serve_engine

    settings = Settings()
    logs.configure(settings.log_level)
    try:
        import uvloop
    except ImportError:  # uvloop does not exist for every platform
        asyncio.run(serve_engine(settings))
    else:
        uvloop.run(serve_engine(settings))


@clean_app.command()
def clean(yes: YesOption = False) -> None:
    """Delete all state: database, secrets, Asterisk's files. Refused while the system is running."""
    from engine.local.clean import clean as delete_all

    settings = Settings()
    if not yes:
        typer.confirm(
            f"Delete the database, the secrets and all other state in {settings.data_dir.absolute()}?", abort=True
        )
    left = delete_all(settings)
    if left:
        complain(f"left in {settings.data_dir}, as this program did not make it: {', '.join(p.name for p in left)}")


@doctor_app.command()
def doctor(as_json: Json = False) -> None:
    """Check each part of the system, running or not, and say what is wrong and how to mend it. Changes nothing.

    Exit status 1 if a part has failed.
    """
    from engine.local.doctor import Verdict, examine

    findings = examine(Settings())
    if as_json:
        show([asdict(finding) for finding in findings], as_json=True)
    else:
        table = Table("part", "", Column("finding", overflow="fold"), Column("what to do", overflow="fold"))
        for finding in findings:
            table.add_row(finding.part, VERDICT_MARKS[finding.verdict], finding.what, finding.fix)
        console.print(table)
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        raise typer.Exit(1)


@asterisk_config_app.command()
def asterisk_config(
    directory: Annotated[
        Path, typer.Argument(help="Asterisk's configuration directory, such as /etc/asterisk.", readable=False)
    ],
    name: Annotated[
        str, typer.Option("--name", help="A name for one of several Asterisks, which gets a token of its own.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Where to write the files, for a user who may not write in Asterisk's directory."
        ),
    ] = None,
) -> None:
    """Write the drop-in files for an Asterisk that already runs, and say what remains to be done.

    Root writes them for Asterisk's user, whoever owns the data directory.
    """
    from engine.asterisk.attach_steps import remaining_steps
    from engine.asterisk.drop_ins import check_target, write_drop_ins
    from engine.local.data_dir import acting_as_owner, require_database

    settings = Settings()
    with acting_as_owner(settings):
        require_database(settings)
        kept = secrets.load(settings.data_dir / "secrets")
    check_target(directory, output)
    with acting_as_owner(settings):
        token, made = secrets.agi_token_of(settings.data_dir / "secrets", name or None)
    written = write_drop_ins(settings, kept, directory, token, output)
    for line in remaining_steps(settings, directory, written):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if made:
        console.print(f"Before that, start the engine again: it does not know the token of {name} yet")


@kamailio_config_app.command()
def kamailio_config(
    directory: Annotated[
        Path, typer.Argument(help="Where to write the files: Kamailio's configuration directory, or one to copy from.")
    ],
) -> None:
    """Write the configuration of Kamailio, which spreads calls among several Asterisks: kamailio.cfg and its lists."""
    from engine.asterisk.kamailio_config import kamailio_group, write_kamailio
    from engine.local.data_dir import acting_as_owner

    settings = Settings()
    with acting_as_owner(settings):
        shared = secrets.kamailio_secrets(settings.data_dir / "secrets")
    for path in write_kamailio(settings, shared, directory):
        console.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
    todo = "Check them" if kamailio_group() is not None else "Let Kamailio's group read them, then check them"
    console.print(f"{todo}:  kamailio -c -f kamailio.cfg", highlight=False)
