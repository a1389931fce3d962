"""`bookings …`: what an operator sees of a booking, and may give to it or take from it."""

from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.bookings.adjustments import MAX_REASON, Adjustment, adjust
from engine.cli import booking_changes as changes
from engine.cli.booking_patch import change
from engine.cli.database import run_command
from engine.cli.new_booking import create
from engine.cli.output import Json, complain, show, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_to_adjust
from engine.domain.booking import Booking, status_at
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId
from engine.domain.masking import masked_text
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, rfc3339
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.bookings import Grant
from engine.storage.transaction import Transaction

app = typer.Typer(no_args_is_help=True, help="Bookings of all accounts.")
app.command("create")(create)
app.command("list")(changes.list_)
app.command("change")(change)
app.command("renew")(changes.renew)
app.command("delete")(changes.delete)

# The newest ones of a booking that are shown.
SHOWN_GRANTS = 50

BookingIdArgument = Annotated[str, typer.Argument(help="Id of the booking.")]


@app.command("show")
def show_booking(booking_id: BookingIdArgument, as_json: Json = False) -> None:
    """One booking, with all that it was ever given to spend. The hidden number is not shown."""
    settings = Settings()
    at = SystemClock().timestamp()

    def look(tx: Transaction) -> tuple[dict[str, Any], list[Grant]]:
        booking, grants = _look_up(tx, booking_id)
        account = account_of(tx, booking.account_id).name
        return _record(booking, account, changes.now_of(tx, booking.account_id, at), policy_of(settings)), grants

    record, grants = run_command(settings, look)
    rows = [_shown(grant) for grant in grants]
    if as_json:
        show_one(record | {"grants": rows}, as_json=True)
    else:
        show_one(record, as_json=False)
        show(rows, as_json=False)


@app.command("adjust")
def adjust_booking(
    booking_id: BookingIdArgument,
    reason: Annotated[str, typer.Option(help=f"Why; kept with it. Up to {MAX_REASON} characters.")],
    seconds: Annotated[int, typer.Option(help="Seconds to give; to take away when negative.")] = 0,
    calls: Annotated[int, typer.Option(help="Calls to give; to take away when negative.")] = 0,
    as_json: Json = False,
) -> None:
    """Give a booking seconds or calls, or take some away, also while people talk: their calls are cut earlier then.

    What was talked and what ringing calls hold stays, without a running engine all that live calls hold: says how much
    was done.
    """
    settings = Settings()
    adjustment = Adjustment(new_id("grt"), BookingId(booking_id), seconds, calls, reason)
    require_database(settings)
    grant = ask_to_adjust(settings.data_dir, adjustment)
    if grant is None:
        grant = run_command(settings, adjust, adjustment, SystemClock().timestamp(), policy_of(settings))
    booking, _ = run_command(settings, _look_up, booking_id)
    show_one(_shown(grant) | {"bookingId": booking_id} | _credits(booking), as_json=as_json)
    for unit, asked, done in (("seconds", seconds, grant.seconds), ("calls", calls, grant.calls)):
        if done != asked:
            complain(f"{-asked} {unit} were to be taken, {-done} were: the others are used, or held by calls")


def _look_up(tx: Transaction, booking_id: str) -> tuple[Booking, list[Grant]]:
    booking = tx.bookings.by_id(BookingId(booking_id))
    if booking is None:
        raise NotFound("there is no such booking")
    return booking, tx.bookings.grants_of(BookingId(booking_id), SHOWN_GRANTS)


def _record(booking: Booking, account: str, now: int, policy: Policy) -> dict[str, Any]:
    """Numbers in what its owner noted are masked, as the hidden one may be among them."""
    return {
        "id": booking.id,
        "account": account,
        "accountId": booking.account_id,
        "service": booking.service,
        "status": status_at(booking, EpochMs(now), policy).value,
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "createdAt": rfc3339(booking.created_at),
        "callback": masked_text(booking.callback),
        "paused": booking.paused,
        "label": masked_text(booking.label) or None,
        "metadata": {masked_text(key): masked_text(value) for key, value in booking.metadata.items()},
        "callerId": booking.caller_id.value,
        "refuseAnonymous": booking.refuse_anonymous,
        **_limits(booking),
        **_credits(booking),
    }


def _limits(booking: Booking) -> dict[str, int | None]:
    """None: the general one counts."""
    return {
        "maxConcurrentCalls": booking.limits.max_concurrent_calls,
        "maxCallsPerCallerPerHour": booking.limits.max_calls_per_caller_per_hour,
        "maxCallSeconds": booking.limits.max_call_seconds,
    }


def _credits(booking: Booking) -> dict[str, int]:
    """`…Held`: by calls that are up."""
    shown: dict[str, int] = {}
    for unit, credit in (("seconds", booking.seconds), ("calls", booking.calls)):
        shown |= {
            f"{unit}Granted": credit.granted,
            f"{unit}Remaining": credit.remaining,
            f"{unit}Held": credit.leased,
            f"{unit}Spent": credit.settled,
        }
    return shown


def _shown(grant: Grant) -> dict[str, Any]:
    return {
        "grant": grant.id,
        "grantedAt": rfc3339(grant.granted_at),
        "usagePlan": grant.usage_plan and grant.usage_plan.value,
        "seconds": grant.seconds,
        "calls": grant.calls,
        "reason": grant.reason,
    }
