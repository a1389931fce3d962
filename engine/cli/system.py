"""Commands that set up and run the system."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from engine import log, secrets
from engine.cli.output import complain, console
from engine.settings import Settings


def run() -> None:
    """Set up what is missing and run everything on this machine: Asterisk, engine, API. Ctrl-C ends it."""
    from engine.local.run import run as run_all  # noqa: PLC0415  other commands start faster without it

    settings = Settings()
    log.configure(settings.log_level)
    run_all(settings, console)


def setup() -> None:
    """Make what a first start needs: secrets, database, and in the demo profile an account and numbers."""
    from engine.local.setup import set_up  # noqa: PLC0415  as above

    set_up(Settings(), complain)


def serve() -> None:
    """Run the engine alone: API, FastAGI, callbacks. Asterisk is somebody else's to start."""
    from engine.app import serve as serve_engine  # noqa: PLC0415  as above

    settings = Settings()
    log.configure(settings.log_level)
    try:
        import uvloop  # noqa: PLC0415  optional: there is none for some platforms
    except ImportError:
        asyncio.run(serve_engine(settings))
    else:
        uvloop.run(serve_engine(settings))


def asterisk_config(
    directory: Annotated[Path, typer.Argument(help="Where to write the files, such as /etc/asterisk.")],
) -> None:
    """Write the drop-in files for an Asterisk that is already there, and say how to include them."""
    from engine.local.asterisk_files import write_drop_ins  # noqa: PLC0415  as above
    from engine.local.setup import make_data_dir  # noqa: PLC0415  as above

    settings = Settings()
    make_data_dir(settings)
    secrets.ensure(settings.data_dir / "secrets")
    kept = secrets.load(settings.data_dir / "secrets")
    for path in write_drop_ins(settings, kept, directory):
        main = path.name.replace("_rented_numbers", "")
        console.print(f'{path}: add  #tryinclude "{path.name}"  to {main}', highlight=False, soft_wrap=True)
