"""`bookings swap-number`: what `POST /bookings/{id}/swap-number` does, for any account."""

from typing import Any

import typer

from engine.bookings.swapping import swap_number
from engine.cli.booking_create import Area, Country, Prefix, Service, number_request
from engine.cli.booking_rows import now_of, owned_booking, row_of
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import BookingIdArgument, YesOption
from engine.cli.output import Json, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False)


@app.command()
def swap(
    booking_id: BookingIdArgument,
    service: Service = None,
    prefix: Prefix = None,
    country: Country = None,
    area: Area = None,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Give a booking another number; its old one goes into quarantine, its live calls go on.

    Its credit stays. Where no number is asked for, it is chosen as for a new booking.
    """
    settings = Settings()
    wanted, booking_id = number_request(service, prefix, country, area), booking_named(settings, booking_id)
    at, policy = SystemClock().timestamp(), policy_of(settings)
    before = run_command(settings, owned_booking, booking_id)
    if not yes:
        typer.confirm(f"Take {before.booking.service} from its booking for {before.account}?", abort=True, err=True)

    def carry_out(tx: Transaction) -> dict[str, Any]:
        account_id = before.booking.account_id
        now = now_of(tx, account_id, at)
        swapped = swap_number(tx, account_id, before.booking.id, now, policy, wanted)
        return row_of(tx, OwnedBooking(before.account, swapped), at, policy)

    show_one(run_command(settings, carry_out) | {"previousService": before.booking.service}, as_json=as_json)
