"""`bookings renew`, `adjust` and `delete`: what a booking has to spend, and its end.

Everything is done on the database; a running engine is asked only for what live calls need.
"""

from contextlib import suppress
from typing import Annotated, Any

import typer

from api.schemas.operator_rows import credit_of, grant_row
from engine.bookings import lifecycle
from engine.bookings.adjustments import MAX_REASON, Adjustment, adjust
from engine.bookings.lifecycle import Renewal
from engine.cli.booking_rows import check_callback, now_of, owned_booking, row_of
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import BookingIdArgument, PlanOption, YesOption
from engine.cli.output import Json, complain, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine, ask_to_adjust
from engine.control.protocol import EngineRefused, EngineSilent
from engine.control.requests import EndCalls, ShareSeconds
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import UsagePlan
from engine.domain.wording import counted
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

renew_app, adjust_app, delete_app = (
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
)


@renew_app.command()
def renew(
    booking_id: BookingIdArgument,
    plan: PlanOption = UsagePlan.SMALL,
    callback: Annotated[str | None, typer.Option(help="The URL that receives callbacks from now on.")] = None,
    as_json: Json = False,
) -> None:
    """Add a usage plan to a booking, also in its grace period. Its live calls may last longer at once."""
    settings = Settings()
    booking_id = booking_named(settings, booking_id)
    if callback is not None:
        check_callback(callback, settings)
    renewal, at, policy = Renewal(plan, callback=callback), SystemClock().timestamp(), policy_of(settings)

    def add(tx: Transaction) -> dict[str, Any]:
        owned = owned_booking(tx, booking_id)
        account_id = owned.booking.account_id
        renewed = lifecycle.renew(tx, account_id, owned.booking.id, renewal, now_of(tx, account_id, at), policy)
        return row_of(tx, OwnedBooking(owned.account, renewed), at, policy)

    show_one(run_command(settings, add), as_json=as_json)
    with suppress(EngineSilent):  # the engine also shares idle seconds at its next round
        ask_engine(settings.data_dir, ShareSeconds(BookingId(booking_id)))


@adjust_app.command()
def adjust_booking(
    booking_id: BookingIdArgument,
    reason: Annotated[str, typer.Option(help=f"The reason, kept with the adjustment; up to {MAX_REASON} characters.")],
    seconds: Annotated[int, typer.Option(help="Seconds to add; negative: to take away.")] = 0,
    calls: Annotated[int, typer.Option(help="Calls to add; negative: to take away.")] = 0,
    as_json: Json = False,
) -> None:
    """Add seconds or calls to a booking, or take some away; its live calls are cut earlier where that is needed.

    Seconds that were talked stay charged. Ringing calls keep what they hold; where no engine runs, so do all live
    calls. The output says how much was really taken.
    """
    settings = Settings()
    booking_id = booking_named(settings, booking_id)
    adjustment = Adjustment(new_id("grt"), BookingId(booking_id), seconds, calls, reason)
    require_database(settings)
    grant = ask_to_adjust(settings.data_dir, adjustment)
    if grant is None:
        grant = run_command(settings, adjust, adjustment, SystemClock().timestamp(), policy_of(settings))
    booking = run_command(settings, owned_booking, booking_id).booking
    show_one(grant_row(grant) | {"bookingId": booking_id} | credit_of(booking), as_json=as_json)
    for unit, asked, done in (("seconds", seconds, grant.seconds), ("calls", calls, grant.calls)):
        if done != asked:
            complain(f"{-done} of {-asked} {unit} were taken away: the others are spent, or held by calls")


@delete_app.command()
def delete(booking_id: BookingIdArgument, yes: YesOption = False, as_json: Json = False) -> None:
    """End a booking and its live calls for good; its number goes into quarantine. Call records stay."""
    settings = Settings()
    booking_id = booking_named(settings, booking_id)
    policy = policy_of(settings)
    owned = run_command(settings, owned_booking, booking_id)
    if not yes:
        typer.confirm(f"End the booking of {owned.booking.service} for {owned.account}?", abort=True, err=True)

    def end(tx: Transaction) -> list[CallId]:
        account_id = owned.booking.account_id
        now = now_of(tx, account_id, SystemClock().timestamp())
        return lifecycle.cancel(tx, account_id, owned.booking.id, now, policy)

    live = run_command(settings, end)
    done = None
    if live:
        with suppress(EngineSilent, EngineRefused):
            done = ask_engine(settings.data_dir, EndCalls(BookingId(booking_id)))
    left = len(live) if done is None else done.unreached
    show_one({"id": booking_id, "service": owned.booking.service, "callsEnded": len(live) - left}, as_json=as_json)
    if left:
        complain(f"{counted(left, 'call')} could not be ended now: the engine tries again once it reaches Asterisk")
