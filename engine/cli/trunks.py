"""`trunks …`: the lines to the carriers."""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.asterisk.trunk_test import MOST_SECONDS, call_over
from engine.cli.output import Json, show, show_one
from engine.config.secrets import write_trunk_password
from engine.config.settings import Settings
from engine.config.trunk_settings import TrunkSettings
from engine.control.client import ask_trunks
from engine.control.requests import ShownTrunk
from engine.domain.errors import InvalidInput
from engine.domain.numbers import ANONYMOUS, E164, is_e164
from engine.domain.times import EpochMs, rfc3339
from engine.domain.trunks import routes_to
from engine.local.data_dir import make_data_dir
from engine.local.running_asterisk import console_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The lines to the carriers.")

TrunkArgument = Annotated[str, typer.Argument(help="Name of the trunk.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the trunks in the order of their use: whether their carriers answer, and the calls on them.

    States: `up`, `down` (the carrier does not answer, see `qualify`), `missing` (Asterisk does not know the trunk:
    write its files again), `unknown`. `failure` is the SIP status of the last call since the engine's start that failed
    at the trunk.
    """
    settings = Settings()
    known = {trunk.name: trunk for trunk in (ask_trunks(settings.data_dir) or [])}
    show([_row(trunk, known.get(trunk.name)) for trunk in settings.trunks_in_use], as_json=as_json)


def _row(trunk: TrunkSettings, known: ShownTrunk | None) -> dict[str, Any]:
    """Returns one line of the table. Without an engine, only the settings are known."""
    return {
        "trunk": trunk.name,
        "uri": trunk.uri,
        "qualify": trunk.qualify,
        "state": known.state if known else "unknown",
        "since": _instant(known.since if known else None),
        "calls": known.calls if known else None,
        "failure": known.sip_code if known else None,
        "failedAt": _instant(known.failed_at if known else None),
    }


def _instant(at: int | None) -> str | None:
    return None if at is None else rfc3339(EpochMs(at))


@app.command("test")
def place_test_call(
    number: Annotated[str, typer.Argument(help="The number to call, E.164: somebody there will hear it ring.")],
    trunk: Annotated[str | None, typer.Option(help="Name of the trunk. Without it: the first one.")] = None,
    caller: Annotated[str | None, typer.Option(help="The caller's number to show, E.164. Without it: none.")] = None,
    seconds: Annotated[int, typer.Option(min=1, max=MOST_SECONDS, help="How long to let it ring.")] = 8,
    as_json: Json = False,
) -> None:
    """Call a number over a trunk, let it ring and give it up; say what the carrier answered, and how soon.

    Run it on Asterisk's machine, as a user who may use Asterisk's console. No booking is charged. If somebody answers,
    the call is hung up at once; the carrier may charge you for it. Exit status 1 if the carrier gave no answer, or
    refused the call although the number was not busy and did not decline it.
    """
    settings = Settings()
    for each in (number, caller):
        if each is not None and not is_e164(each):
            raise InvalidInput([f"{each} is not an E.164 number, such as +3225551234"])
    tested = trunk_of(settings, trunk) if trunk else settings.trunks_in_use[0]
    shown = E164(caller) if caller else ANONYMOUS
    [route] = routes_to(E164(number), shown, [tested.as_routed()])
    result = asyncio.run(call_over(console_of(settings), route, seconds))
    show_one({"trunk": tested.name, **asdict(result)}, as_json=as_json)
    if not result.reached:
        sys.exit(1)


@app.command()
def password(name: TrunkArgument) -> None:
    """Store the password that the carrier gave for a trunk. It is read from standard input.

    At a terminal the command asks for it twice, without showing it. Our own Asterisk uses it from its next start on,
    another Asterisk after `asterisk-config` and `core reload`.
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
