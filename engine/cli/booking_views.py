"""`bookings list` and `bookings show`: bookings of all accounts, without their hidden numbers."""

from typing import Annotated, Any

import typer

from api.schemas.operator_rows import booking_record, grant_row
from engine.accounts.accounts import account_of
from engine.cli.booking_rows import now_of, owned_booking, row_of
from engine.cli.completion import complete_accounts, complete_services
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named, number_of
from engine.cli.options import BookingIdArgument
from engine.cli.output import Json, complain, show, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.runtime.clock import SystemClock
from engine.storage.bookings import Grant
from engine.storage.transaction import Transaction

list_app, show_app = typer.Typer(add_completion=False), typer.Typer(add_completion=False)

MAX_LISTED = 1000
MAX_GRANTS_SHOWN = 50
# Left out of tables, which would be too wide for a terminal; `--json` and `bookings show` have them.
NOT_IN_TABLES = {"usagePlan", "secondsRemaining", "callsRemaining", "callsUp"}


@list_app.command()
def list_bookings(
    account: Annotated[
        str | None, typer.Option(help="Id or name: only that account's.", autocompletion=complete_accounts)
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            help="Only the booking that holds this number; with --gone, also those that held it.",
            autocompletion=complete_services,
        ),
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Also bookings in their grace period.")] = False,
    gone: Annotated[bool, typer.Option("--gone", help="All bookings that are still known, also gone ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="The most bookings to list.")] = 100,
    before: Annotated[str | None, typer.Option(help="Only those older than the booking with this id.")] = None,
    as_json: Json = False,
) -> None:
    """List bookings, newest first. Their hidden numbers are not shown."""
    settings = Settings()
    policy, at = policy_of(settings), SystemClock().timestamp()
    number = _checked_service(settings, service)

    def page(tx: Transaction) -> list[dict[str, Any]]:
        account_id = account_of(tx, account).id if account else None
        expires_after = EpochMs(now_of(tx, account_id, at) - (policy.grace_ms if expired else 0))
        found = tx.overview.bookings(
            account_id, expires_after=expires_after, gone=gone, before_id=before, limit=limit + 1, service=number
        )
        return [row_of(tx, each, at, policy) for each in found]

    found = run_command(settings, page)
    rows = found[:limit]
    if not as_json:
        rows = [{name: row[name] for name in row if name not in NOT_IN_TABLES} for row in rows]
    show(rows, as_json=as_json)
    if len(found) > limit:
        complain(f"there are more: --before {found[limit - 1]['id']}")


def _checked_service(settings: Settings, service: str | None) -> E164 | None:
    number = None if service is None else number_of(settings, service)
    if service is not None and number is None:
        raise InvalidInput(["--service is not a telephone number"])
    return number


@show_app.command()
def show_booking(booking_id: BookingIdArgument, as_json: Json = False) -> None:
    """Show one booking, and everything that it was ever granted. The hidden number is not shown."""
    settings = Settings()
    policy, at = policy_of(settings), SystemClock().timestamp()
    wanted = booking_named(settings, booking_id)

    def look_up(tx: Transaction) -> tuple[dict[str, Any], list[Grant]]:
        owned = owned_booking(tx, wanted)
        record = booking_record(owned, now_of(tx, owned.booking.account_id, at), policy)
        return record, tx.bookings.grants_of(owned.booking.id, MAX_GRANTS_SHOWN)

    record, grants = run_command(settings, look_up)
    rows = [grant_row(grant) for grant in grants]
    if as_json:
        show_one(record | {"grants": rows}, as_json=True)
    else:
        show_one(record, as_json=False)
        show(rows, as_json=False)
