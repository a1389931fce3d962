"""`trunks …`: the lines to the carriers."""

import sys
from typing import Annotated

import typer

from engine.config.secrets import write_trunk_password
from engine.config.settings import Settings
from engine.config.trunk_settings import TrunkSettings
from engine.domain.errors import InvalidInput
from engine.local.data_dir import make_data_dir

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The lines to the carriers.")

TrunkArgument = Annotated[str, typer.Argument(help="Name of the trunk.")]


@app.callback()
def _group() -> None:
    """Makes the app a group although it has one command."""


@app.command()
def password(name: TrunkArgument) -> None:
    """Store the password that the carrier gave for a trunk; it is read from standard input.

    At a terminal it is asked for twice and not shown. Asterisk uses it after the next start, or after
    `asterisk-config` and `core reload` if it is not our own.
    """
    settings = Settings()
    trunk = trunk_of(settings, name)
    if trunk.username is None:
        raise InvalidInput([f"trunk {name} has no username, so its carrier asks for no password"])
    if sys.stdin.isatty():
        given: str = typer.prompt(f"Password of {trunk.username}", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    make_data_dir(settings)
    write_trunk_password(settings.data_dir / "secrets", name, given)
    typer.echo(f"stored the password of trunk {name}")


def trunk_of(settings: Settings, name: str) -> TrunkSettings:
    """Returns the trunk of that name. Raises InvalidInput."""
    for trunk in settings.trunks_in_use:
        if trunk.name == name:
            return trunk
    names = ", ".join(trunk.name for trunk in settings.trunks_in_use)
    raise InvalidInput([f"there is no trunk {name}; there is {names}"])
