"""`calls …`: live calls, how to end one, and what happened to a call."""

import asyncio
import signal
from typing import Annotated, Any

import typer
from rich.live import Live

from engine.accounts.accounts import account_of
from engine.cli.call_trace import trace
from engine.cli.completion import complete_accounts
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named, number_of
from engine.cli.options import BookingFilter, ServiceFilter
from engine.cli.output import Json, console, show, show_one, table_of
from engine.config.settings import Settings
from engine.control.client import ask_engine
from engine.control.protocol import EngineRefused
from engine.control.requests import HangUp
from engine.domain.errors import InvalidInput
from engine.domain.ids import CallId
from engine.domain.masking import masked, shown_caller
from engine.domain.times import Timestamp, rfc3339
from engine.local.data_dir import require_database
from engine.runtime.periodic import wait_for
from engine.storage.database import clock_of, open_storage
from engine.storage.overview import LiveCall, WantedLive

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Calls of all accounts.")

MAX_SHOWN = 1000
REFRESH_SECONDS = 1.0


@app.command()
def live(
    account: Annotated[
        str | None, typer.Option(help="Id or name: only calls of that account.", autocompletion=complete_accounts)
    ] = None,
    service: ServiceFilter = None,
    booking: BookingFilter = None,
    as_json: Json = False,
) -> None:
    """Show the calls that are ringing or talking, oldest first. On a terminal the table follows them until Ctrl-C.

    Hidden numbers are masked.
    """
    settings = Settings()
    wanted = _wanted(settings, account, service, booking)
    calls = run_command(settings, lambda tx: tx.overview.live_calls(MAX_SHOWN, wanted))
    if console.is_terminal and not as_json:
        asyncio.run(_follow(settings, wanted))
    else:
        at = clock_of(settings.books).timestamp()
        show([_row(call, at) for call in calls], as_json=as_json)


app.command("trace")(trace)


@app.command("hangup")
def hang_up(
    call_id: Annotated[str, typer.Argument(help="Id of the call, as `calls live` shows it.")], as_json: Json = False
) -> None:
    """End a live call. It is settled and recorded, and causes its callback, like any other call."""
    settings = Settings()
    require_database(settings)
    done = ask_engine(settings.data_dir, HangUp(CallId(call_id)))
    if done is None:
        raise EngineRefused("no engine is running here, and only an engine can end calls")
    if done.unreached:
        raise EngineRefused("the call was not ended: Asterisk cannot be reached now; `doctor` says what is wrong")
    show_one({"callId": call_id, "ended": True}, as_json=as_json)


def _wanted(settings: Settings, account: str | None, service: str | None, booking: str | None) -> WantedLive:
    """Returns the filter. Raises InvalidInput and NotFound."""
    number = None if service is None else number_of(settings, service)
    if service is not None and number is None:
        raise InvalidInput(["--service is not a telephone number"])
    return WantedLive(
        account_id=None if account is None else run_command(settings, account_of, account).id,
        booking_id=None if booking is None else booking_named(settings, booking),
        service=number,
    )


async def _follow(settings: Settings, wanted: WantedLive) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock, storage = clock_of(settings.books), open_storage(settings.books)
    try:
        with Live(console=console, auto_refresh=False) as shown:
            while not stop.is_set():
                calls = await storage.run(lambda tx: tx.overview.live_calls(MAX_SHOWN, wanted))
                at = clock.timestamp()
                shown.update(table_of([_row(call, at) for call in calls], empty="no live calls"), refresh=True)
                await wait_for(stop, REFRESH_SECONDS)
    finally:
        await storage.close()


def _row(live_call: LiveCall, at: Timestamp) -> dict[str, Any]:
    """Returns one line of the table. `talking`: seconds since the answer; `mayTalk`: leased seconds, its limit."""
    call = live_call.call
    return {
        "call": call.call_id,
        "account": live_call.account,
        "booking": call.booking_id,
        "service": live_call.service,
        "source": shown_caller(call.source, call.direction),
        "destination": masked(call.destination),
        "state": call.state.value,
        "since": rfc3339(call.started_at),
        "talking": None if call.answered is None else max(0, at.boot_ms - call.answered.boot_ms) // 1000,
        "mayTalk": call.seconds_leased,
    }
