"""`callbacks …`: deliveries and receivers of callbacks, redelivery, and a receiver for trying them out.

Numbers are masked wherever they may occur: an operator sees how a delivery went, not whom it was about.
"""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from api.schemas.operator_rows import attempt_row, callback_row, endpoint_row
from engine.accounts.accounts import account_of
from engine.callbacks import redelivery
from engine.cli.completion import complete_services
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import DEMO_PROFILE, AccountOption, instant_given
from engine.cli.output import Json, complain, console, show, show_one
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound, RentedNumbersError, TooManyRedeliveries
from engine.domain.ids import AccountId, BookingId
from engine.domain.masking import masked_text
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.domain.wording import counted
from engine.local.doctor_checks import is_running
from engine.runtime.clock import SystemClock
from engine.storage.endpoints import Endpoint
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.outbox import AttemptRecord, CallbackPosition, CallbackRecord
from engine.storage.reads import Reads
from engine.storage.transaction import Transaction

# How long `callbacks redeliver` waits for the engine to send what is due.
WAIT_SECONDS = 30.0

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Callbacks to customers: their deliveries and their receivers."
)

MAX_LISTED = 1_000
LimitOption = Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="The most to list.")]


class PortUnusable(RentedNumbersError):
    """The port is taken, or needs rights that this user does not have."""


@app.command()
def listen(
    account: AccountOption,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free port.")] = 9000,
    as_json: Json = False,
) -> None:
    """Receive callbacks on this machine, verify their signatures and print them, until Ctrl-C.

    Answers 204 to a genuine callback of the account, and 400 to anything else.
    """
    from engine.local.callback_receiver import Received  # noqa: PLC0415  slow to import

    def show_received(received: Received) -> None:
        if as_json:
            typer.echo(json.dumps(received.as_record()))
            return
        mark = "[green]genuine[/]" if received.genuine else f"[red]refused: {received.fault}[/]"
        repeat = ", received before" if received.is_repeat else ""
        console.print(f"{mark}{repeat}  {escape(received.event_id)}", highlight=False)
        console.print(received.text, highlight=False, markup=False, soft_wrap=True)

    settings = Settings()
    account_id = run_command(settings, account_of, account).id
    asyncio.run(_receive(settings, account_id, port, show_received))


async def _receive(settings: Settings, account_id: AccountId, port: int, show_received: Callable[[Any], None]) -> None:
    """Receives until Ctrl-C or SIGTERM. Raises PortUnusable."""
    from engine.local.callback_receiver import CallbackReceiver  # noqa: PLC0415  slow to import

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Reads(settings.books) as reads:

        async def secrets() -> tuple[str, ...]:
            return (await reads.webhook_secrets(account_id)).valid_at(SystemClock().now())

        async with CallbackReceiver(secrets, show_received) as receiver:
            try:
                await receiver.listen(port)
            except OSError as error:
                raise PortUnusable(f"port {port}: {error.strerror}; choose another with `--port`") from None
            where = "" if settings.allow_private_callbacks else f", in the demo profile ({DEMO_PROFILE})"
            complain(f'listening: book with "callback": "{receiver.url}"{where}')
            await stop.wait()


@app.command("list")
def list_callbacks(
    account: AccountOption,
    state: Annotated[CallbackState | None, typer.Option(help="Only callbacks in this state.")] = None,
    booking: Annotated[
        str | None,
        typer.Option(
            help="Only callbacks about the booking with this id, or that holds this rented number now.",
            autocompletion=complete_services,
        ),
    ] = None,
    limit: LimitOption = 20,
    as_json: Json = False,
) -> None:
    """List an account's callbacks, newest first."""
    settings = Settings()
    owner = run_command(settings, account_of, account).id
    booking_id = None if booking is None else booking_named(settings, booking)
    records = asyncio.run(_newest(settings, owner, state, booking_id, limit))
    show([callback_row(record) for record in records], as_json=as_json)


@app.command("show")
def show_callback(
    callback_id: Annotated[str, typer.Argument(help="Id of the callback, its `webhook-id`.")], as_json: Json = False
) -> None:
    """Show one callback, every attempt to deliver it, and what the receiver answered."""

    def look_up(tx: Transaction) -> tuple[CallbackRecord, list[AttemptRecord]]:
        record = tx.outbox.of_account(_owner_of(tx, callback_id), callback_id)
        if record is None:
            raise NotFound("there is no such callback")
        return record, tx.outbox.attempts_of(callback_id)

    record, attempts = run_command(Settings(), look_up)
    rows = [attempt_row(each) for each in attempts]
    shown = callback_row(record) | {"body": masked_text(record.body)}
    if as_json:
        show_one(shown | {"attempts": rows}, as_json=True)
    else:
        show_one(shown, as_json=False)
        show(rows, as_json=False)


@app.command()
def redeliver(
    callback_id: Annotated[
        str, typer.Argument(help="Id of the callback. Leave it out to redeliver many with `--from`.")
    ] = "",
    since: Annotated[
        str,
        typer.Option("--from", help="All callbacks created at this instant or later, such as 2026-03-01T12:00:00Z."),
    ] = "",
    until: Annotated[str, typer.Option("--to", help="And created before this instant. Without it: until now.")] = "",
    state: Annotated[
        CallbackState, typer.Option(help="Those in this state. To redeliver HELD ones, enable their endpoint.")
    ] = CallbackState.FAILED,
    account: Annotated[str, typer.Option(help="Id or name of the account; needed with `--from`.")] = "",
    as_json: Json = False,
) -> None:
    """Send callbacks again, with their ids unchanged. A running engine begins within seconds."""
    if bool(callback_id) == bool(since) or bool(since) != bool(account) or state is CallbackState.HELD:
        raise InvalidInput(
            ["give one callback's id, or --account and --from for all FAILED, PENDING or DELIVERED ones since then"]
        )
    now = SystemClock().now()
    if callback_id:
        record, _ = run_command(
            Settings(), lambda tx: redelivery.redeliver(tx, _owner_of(tx, callback_id), callback_id, now)
        )
        show_one(callback_row(record), as_json=as_json)
        return
    first, end = instant_given(since), instant_given(until) if until else LATEST
    if first > end:
        raise InvalidInput(["--from must not be later than --to"])
    show_one({"redelivered": _redeliver_all(account, state, first, end)}, as_json=as_json)


@app.command()
def endpoints(account: AccountOption, limit: LimitOption = 100, as_json: Json = False) -> None:
    """List the URLs that received an account's callbacks, newest first, and which of them are disabled."""

    def look_up(tx: Transaction) -> list[Endpoint]:
        return tx.endpoints.newest(account_of(tx, account).id, limit)

    show([endpoint_row(each) for each in run_command(Settings(), look_up)], as_json=as_json)


@app.command()
def enable(
    endpoint_id: Annotated[str, typer.Argument(help="Id of the endpoint, as `callbacks endpoints` shows it.")],
    as_json: Json = False,
) -> None:
    """Enable a disabled endpoint again. The callbacks that were held for it are sent, oldest first."""

    def carry_out(tx: Transaction) -> Endpoint:
        owner = tx.endpoints.owner_of(endpoint_id)
        if owner is None:
            raise NotFound("there is no such endpoint")
        return redelivery.enable(tx, owner, endpoint_id)

    show_one(endpoint_row(run_command(Settings(), carry_out)), as_json=as_json)


def _redeliver_all(account: str, state: CallbackState, since: EpochMs, until: EpochMs) -> int:
    """Redelivers in short transactions, and returns how many callbacks there were.

    Waits while many callbacks of the account are due, until the engine has sent them.
    """
    settings, count, after = Settings(), 0, CallbackPosition(since, "")
    owner = run_command(settings, account_of, account).id
    while True:
        try:
            done = run_command(settings, redelivery.redeliver_all, owner, state, after, until, SystemClock().now())
        except TooManyRedeliveries as error:
            if not is_running(settings):
                raise
            complain(f"{counted(count, 'callback')} so far; {error}: waiting, Ctrl-C ends it")
            time.sleep(WAIT_SECONDS)
            continue
        count += done.count
        if done.last is None:
            return count
        after = done.last


async def _newest(
    settings: Settings, owner: AccountId, state: CallbackState | None, booking_id: BookingId | None, limit: int
) -> list[CallbackRecord]:
    """Reads as many pages as the list needs, each of which scans a limited number of callbacks."""
    found: list[CallbackRecord] = []
    before: CallbackPosition | None = CallbackPosition(LATEST, "")
    async with Reads(settings.books) as reads:
        while before is not None and len(found) < limit:
            page = await reads.callbacks(
                owner, state=state, booking_id=booking_id, since=EARLIEST, before=before, limit=limit - len(found)
            )
            found += page.records
            before = page.goes_on_after
    return found


def _owner_of(tx: Transaction, callback_id: str) -> AccountId:
    owner = tx.outbox.owner_of(callback_id)
    if owner is None:
        raise NotFound("there is no such callback")
    return owner
