"""`asterisks …`: the Asterisks of several engines on one database, and how to have one forgotten that is off."""

import asyncio
from typing import Annotated

import typer

from engine.asterisk.silent_asterisks import forget, require_silent, silent_since
from engine.cli.database import run_command
from engine.cli.options import YesOption, instant_given
from engine.cli.output import Json, show, show_one, with_times
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.times import EpochMs
from engine.domain.wording import counted
from engine.runtime.clock import SystemClock
from engine.storage.database import clock_of, open_storage
from engine.storage.keepers import KeptAsterisk

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The Asterisks of several engines on PostgreSQL.")


@app.command("list")
def list_asterisks(as_json: Json = False) -> None:
    """List the Asterisks, with the machines of their engines, and the calls that each has.

    `state`: `kept`; `free`, if its engine was stopped less than a minute ago; `silent`, if no engine of it has been
    heard of for longer.
    """
    settings = Settings()
    now, own = SystemClock().now(), _own_names(settings)
    show(
        [
            with_times(
                {
                    "asterisk": each.asterisk,
                    "state": _state_of(each, now),
                    "host": each.host or None,
                    "here": each.asterisk in own,
                    "calls": each.calls,
                    "leasedSeconds": each.seconds,
                },
                heardOfAt=each.beaten_at or None,
            )
            for each in _asterisks(settings)
        ],
        as_json=as_json,
    )


@app.command("forget")
def forget_asterisk(
    name: Annotated[str, typer.Argument(help="Its name, as `asterisks list` shows it.")],
    off_since: Annotated[
        str | None,
        typer.Option(help="Since when it is off, such as 2026-03-01T12:00:00Z: until then its calls are charged."),
    ] = None,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Settle all calls of an Asterisk whose machine is off, without waiting until their leases are over.

    Answered calls are charged until `--off-since`, else until now, but never more than their leases. It is refused
    while an engine of that Asterisk is heard of. Never use it for an Asterisk that may still have calls, for example
    because only its network is cut: others could use the same seconds again.
    """
    settings = Settings()
    found = next((each for each in _asterisks(settings) if each.asterisk == name), None)
    if found is None:
        raise NotFound("there is no such Asterisk")
    clock = clock_of(settings.books)
    now = clock.now()
    off_at = now if off_since is None else instant_given(off_since)
    if off_at > now:
        raise InvalidInput(["--off-since is in the future"])
    require_silent(found, now)
    if not yes:
        machine = f"the machine of this Asterisk ({found.host})" if found.host else "the machine of this Asterisk"
        typer.confirm(f"Is {machine} off, and are its {counted(found.calls, 'call')} over?", abort=True, err=True)

    async def settled() -> int:
        storage = open_storage(settings.books, is_patient=True)
        try:
            return await forget(storage, clock, policy_of(settings), name, off_at)
        finally:
            await storage.close()

    show_one({"asterisk": name, "callsSettled": asyncio.run(settled())}, as_json=as_json)


def _asterisks(settings: Settings) -> list[KeptAsterisk]:
    """Returns all Asterisks. Raises InvalidInput."""
    if settings.database_url is None:
        raise InvalidInput(["there is one Asterisk, because its engine works alone on its database"])
    return run_command(settings, lambda tx: tx.keepers.asterisks())


def _own_names(settings: Settings) -> set[str]:
    return set(secrets.asterisk_names(secrets.agi_tokens(settings.data_dir / "secrets")).values())


def _state_of(found: KeptAsterisk, now: EpochMs) -> str:
    if found.is_silent(silent_since(now)):
        return "silent"
    return "kept" if found.engine else "free"
