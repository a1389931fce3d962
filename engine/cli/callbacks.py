"""`callbacks …`: what customers are told of calls."""

import asyncio
import json
import signal
from typing import Annotated

import typer
from rich.markup import escape

from engine.accounts import accounts
from engine.cli.booking_changes import DEMO
from engine.cli.database import run_command
from engine.cli.output import Json, complain, console
from engine.config.settings import Settings
from engine.domain.errors import RentedNumbersError
from engine.runtime.clock import SystemClock
from engine.storage.reads import Reads

app = typer.Typer(no_args_is_help=True, help="What customers are told of calls.")


class PortUnusable(RentedNumbersError):
    """Taken, or for others only."""


@app.command()
def listen(
    account: Annotated[str, typer.Option(help="Id or name of the account whose secret signs them.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any that is free.")] = 9000,
    as_json: Json = False,
) -> None:
    """Receive callbacks on this machine, verify their signatures and print them, until Ctrl-C.

    Answers 204 to those that are genuine, and 400 to every other.
    """
    from engine.local.callback_receiver import CallbackReceiver, Received  # noqa: PLC0415  heavy, and only for this

    def show(received: Received) -> None:
        if as_json:
            typer.echo(json.dumps(received.as_record()))
            return
        mark = "[green]genuine[/]" if received.genuine else f"[red]refused: {received.fault}[/]"
        repeat = ", received before" if received.is_repeat else ""
        console.print(f"{mark}{repeat}  {escape(received.event_id)}", highlight=False)
        console.print(received.text, highlight=False, markup=False, soft_wrap=True)

    settings = Settings()
    account_id = run_command(settings, accounts.account_of, account).id

    async def receive() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with Reads(settings.database) as reads:

            async def secrets() -> tuple[str, ...]:
                return (await reads.webhook_secrets(account_id)).valid_at(SystemClock().now())

            async with CallbackReceiver(secrets, show) as receiver:
                try:
                    await receiver.listen(port)
                except OSError as error:
                    raise PortUnusable(f"port {port}: {error.strerror}; `--port` takes another") from None
                complain(f'listening: book with "callback": "{receiver.url}"{_where_taken(settings)}')
                await stop.wait()

    asyncio.run(receive())


def _where_taken(settings: Settings) -> str:
    return "" if settings.allow_private_callbacks else f", where the engine runs as a demo ({DEMO})"
