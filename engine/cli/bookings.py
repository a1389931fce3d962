"""`bookings …`: what customers do over HTTP, done by the operator for any account, and adjustments.

Everything is done on the database; a running engine is asked only for what live calls need.
"""

from contextlib import suppress
from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.bookings import lifecycle
from engine.bookings.adjustments import MAX_REASON, Adjustment, adjust
from engine.bookings.lifecycle import Renewal
from engine.cli.booking_change import change
from engine.cli.booking_create import create
from engine.cli.booking_rows import check_callback, credit_of, now_of, owned_booking, record_of, row_of
from engine.cli.database import run_command
from engine.cli.options import BookingIdArgument, PlanOption, YesOption
from engine.cli.output import Json, complain, show, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine, ask_to_adjust
from engine.control.protocol import EngineSilent
from engine.control.requests import EndCalls, ShareSeconds
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, rfc3339
from engine.local.data_dir import require_database
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.bookings import Grant
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Bookings of all accounts.")
app.command("create")(create)
app.command("change")(change)

MAX_LISTED = 1000
MAX_GRANTS_SHOWN = 50
# Left out of tables, which would be too wide for a terminal; `--json` and `bookings show` have them.
NOT_IN_TABLES = {"usagePlan", "secondsRemaining", "callsRemaining", "callsUp"}


@app.command("list")
def list_bookings(
    account: Annotated[str | None, typer.Option(help="Id or name: only that account's.")] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Also bookings in their grace period.")] = False,
    gone: Annotated[bool, typer.Option("--gone", help="All bookings that are still known, also gone ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="The most bookings to list.")] = 100,
    before: Annotated[str | None, typer.Option(help="Only those older than the booking with this id.")] = None,
    as_json: Json = False,
) -> None:
    """List bookings, newest first. Their hidden numbers are not shown."""
    settings = Settings()
    policy, at = policy_of(settings), SystemClock().timestamp()

    def page(tx: Transaction) -> list[dict[str, Any]]:
        account_id = account_of(tx, account).id if account else None
        expires_after = EpochMs(now_of(tx, account_id, at) - (policy.grace_ms if expired else 0))
        found = tx.overview.bookings(
            account_id,
            expires_after=expires_after,
            gone=gone,
            before_id=before,
            limit=limit + 1,
        )
        return [row_of(tx, each, at, policy) for each in found]

    found = run_command(settings, page)
    rows = found[:limit]
    if not as_json:
        rows = [{name: row[name] for name in row if name not in NOT_IN_TABLES} for row in rows]
    show(rows, as_json=as_json)
    if len(found) > limit:
        complain(f"there are more: --before {found[limit - 1]['id']}")


@app.command("show")
def show_booking(booking_id: BookingIdArgument, as_json: Json = False) -> None:
    """Show one booking, and everything that it was ever granted. The hidden number is not shown."""
    settings = Settings()
    policy, at = policy_of(settings), SystemClock().timestamp()

    def look_up(tx: Transaction) -> tuple[dict[str, Any], list[Grant]]:
        owned = owned_booking(tx, booking_id)
        record = record_of(owned.booking, owned.account, now_of(tx, owned.booking.account_id, at), policy)
        return record, tx.bookings.grants_of(owned.booking.id, MAX_GRANTS_SHOWN)

    record, grants = run_command(settings, look_up)
    rows = [_grant_row(grant) for grant in grants]
    if as_json:
        show_one(record | {"grants": rows}, as_json=True)
    else:
        show_one(record, as_json=False)
        show(rows, as_json=False)


@app.command()
def renew(
    booking_id: BookingIdArgument,
    plan: PlanOption = UsagePlan.SMALL,
    callback: Annotated[str | None, typer.Option(help="The URL that receives callbacks from now on.")] = None,
    as_json: Json = False,
) -> None:
    """Add a usage plan to a booking, also in its grace period. Its live calls may last longer at once."""
    settings = Settings()
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


@app.command("adjust")
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
    adjustment = Adjustment(new_id("grt"), BookingId(booking_id), seconds, calls, reason)
    require_database(settings)
    grant = ask_to_adjust(settings.data_dir, adjustment)
    if grant is None:
        grant = run_command(settings, adjust, adjustment, SystemClock().timestamp(), policy_of(settings))
    booking = run_command(settings, owned_booking, booking_id).booking
    show_one(_grant_row(grant) | {"bookingId": booking_id} | credit_of(booking), as_json=as_json)
    for unit, asked, done in (("seconds", seconds, grant.seconds), ("calls", calls, grant.calls)):
        if done != asked:
            complain(f"{-done} of {-asked} {unit} were taken away: the others are spent, or held by calls")


@app.command()
def delete(booking_id: BookingIdArgument, yes: YesOption = False, as_json: Json = False) -> None:
    """End a booking and its live calls for good; its number goes into quarantine. Call records stay."""
    settings = Settings()
    at, policy = SystemClock().timestamp(), policy_of(settings)
    owned = run_command(settings, owned_booking, booking_id)
    if not yes:
        typer.confirm(f"End the booking of {owned.booking.service} for {owned.account}?", abort=True, err=True)

    def end(tx: Transaction) -> list[CallId]:
        account_id = owned.booking.account_id
        return lifecycle.cancel(tx, account_id, owned.booking.id, now_of(tx, account_id, at), policy)

    live = run_command(settings, end)
    done = None
    if live:
        with suppress(EngineSilent):
            done = ask_engine(settings.data_dir, EndCalls(BookingId(booking_id)))
    left = len(live) if done is None else done.unreached
    show_one({"id": booking_id, "service": owned.booking.service, "callsEnded": len(live) - left}, as_json=as_json)
    if left:
        complain(f"{left} calls could not be ended now: the engine ends them as soon as it reaches Asterisk")


def _grant_row(grant: Grant) -> dict[str, Any]:
    return {
        "grant": grant.id,
        "grantedAt": rfc3339(grant.granted_at),
        "usagePlan": grant.usage_plan and grant.usage_plan.value,
        "seconds": grant.seconds,
        "calls": grant.calls,
        "reason": grant.reason,
    }
