"""`blocked-callers …`: the callers whose calls a booking refuses."""

from typing import Annotated, Any

import typer

from engine.bookings import blocked_callers
from engine.cli.booking_rows import now_of, owned_booking
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import BookingIdArgument
from engine.cli.output import Json, show, show_one, with_times
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.runtime.clock import SystemClock
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The callers whose calls a booking refuses.")

CallerArgument = Annotated[str, typer.Argument(help="The caller's number, E.164.")]


@app.command("list")
def list_(booking_id: BookingIdArgument, as_json: Json = False) -> None:
    """List the callers that a booking refuses, in the order of their numbers."""
    settings = Settings()
    booking_id = booking_named(settings, booking_id)

    def read(tx: Transaction) -> list[BlockedCaller]:
        return tx.blocked.all(owned_booking(tx, booking_id).booking.id)

    show([_shown(each) for each in run_command(settings, read)], as_json=as_json)


@app.command()
def add(booking_id: BookingIdArgument, caller: CallerArgument, as_json: Json = False) -> None:
    """Refuse a caller's calls to a booking from now on. Live calls go on. Adding a caller again changes nothing."""
    settings, at = Settings(), SystemClock().timestamp()
    booking_id = booking_named(settings, booking_id)
    policy = policy_of(settings)

    def block(tx: Transaction) -> BlockedCaller:
        booking = owned_booking(tx, booking_id).booking
        now = now_of(tx, booking.account_id, at)
        return blocked_callers.block(tx, booking.account_id, booking.id, caller, now, policy)[0]

    show_one(_shown(run_command(settings, block)), as_json=as_json)


@app.command()
def remove(booking_id: BookingIdArgument, caller: CallerArgument, as_json: Json = False) -> None:
    """Let a caller's calls to a booking through again."""
    settings, at = Settings(), SystemClock().timestamp()
    booking_id = booking_named(settings, booking_id)
    policy = policy_of(settings)

    def unblock(tx: Transaction) -> None:
        booking = owned_booking(tx, booking_id).booking
        now = now_of(tx, booking.account_id, at)
        blocked_callers.unblock(tx, booking.account_id, booking.id, caller, now, policy)

    run_command(settings, unblock)
    show_one({"bookingId": booking_id, "removed": caller}, as_json=as_json)


def _shown(blocked: BlockedCaller) -> dict[str, Any]:
    return with_times({"caller": blocked.caller}, blockedAt=blocked.created_at)
