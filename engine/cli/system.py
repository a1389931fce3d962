"""Commands that set up and run the system."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import complain, console
from engine.config import secrets
from engine.config.settings import Settings
from engine.runtime import logs


def run() -> None:
    """Set up what is missing and run everything on this machine: Asterisk, engine, API. Ctrl-C ends it."""
    from engine.local.run import run as run_all  # noqa: PLC0415  other commands start faster without it

    settings = Settings()
    logs.configure(settings.log_level)
    run_all(settings, console)


def setup(
    new_key_pepper: Annotated[
        bool, typer.Option("--new-key-pepper", help="Make another when it is lost. All API keys die.")
    ] = False,
) -> None:
    """Make what a first start needs: secrets, database, and in the demo profile an account and numbers."""
    from engine.local.setup import set_up  # noqa: PLC0415  as above

    set_up(Settings(), complain, new_pepper=new_key_pepper)


def serve() -> None:
    """Run the engine alone: API, FastAGI, callbacks. Asterisk is somebody else's to start."""
    from engine.app import serve as serve_engine  # noqa: PLC0415  as above

    settings = Settings()
    logs.configure(settings.log_level)
    try:
        import uvloop  # noqa: PLC0415  optional: there is none for some platforms
    except ImportError:
        asyncio.run(serve_engine(settings))
    else:
        uvloop.run(serve_engine(settings))


def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Forget all state: database, secrets, Asterisk's files. Refused while the system is running."""
    from engine.local.clean import clean as forget  # noqa: PLC0415  as above

    settings = Settings()
    if not yes:
        typer.confirm(f"Remove the database, the secrets and all else of {settings.data_dir.absolute()}?", abort=True)
    left = forget(settings)
    if left:
        complain(f"left in {settings.data_dir}, as it is not ours: {', '.join(path.name for path in left)}")


def asterisk_config(
    directory: Annotated[Path, typer.Argument(help="Where its configuration is, such as /etc/asterisk.")],
    name: Annotated[
        str, typer.Option("--name", help="For one of several Asterisks: gives it a token of its own.")
    ] = "",
) -> None:
    """Write the drop-in files for an Asterisk that is already there, and say how to include them."""
    from engine.asterisk.drop_ins import instructions, write_drop_ins  # noqa: PLC0415  as above
    from engine.local.data_dir import require_database  # noqa: PLC0415  as above

    settings = Settings()
    require_database(settings)
    kept = secrets.load(settings.data_dir / "secrets")
    token, made = secrets.agi_token_of(settings.data_dir / "secrets", name or None)
    written = write_drop_ins(settings, kept, directory, token)
    for line in instructions(settings, directory, written):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if made:
        console.print(f"Before that, start the engine again: it does not know the token of {name} yet")
