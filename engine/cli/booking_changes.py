"""`bookings list`, `renew` and `delete`: what customers do over HTTP, by the operator and for any account.

All of it is done on the database; a running engine is told what its live calls need to know.
"""

from contextlib import suppress
from typing import Annotated, Any

import typer

from engine.accounts import accounts
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import Renewal
from engine.cli.database import run_command
from engine.cli.output import Json, complain, show, show_one
from engine.config.policy import callback_rules_of, policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine
from engine.control.protocol import EngineSilent
from engine.control.requests import EndCalls, ShareSeconds
from engine.domain.booking import status_at
from engine.domain.errors import CallbackNotAcceptable, NotFound
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.masking import masked_text
from engine.domain.policy import Policy, UsagePlan
from engine.domain.times import EpochMs, Timestamp, rfc3339
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

MAX_LISTED = 1000
# As `make run` has it.
DEMO = "RENTED_NUMBERS_PROFILE=demo"
SHOWN_ONE_BY_ONE = {"usagePlan", "secondsRemaining", "callsRemaining", "callsUp"}

BookingIdArgument = Annotated[str, typer.Argument(help="Id of the booking.")]
Plan = Annotated[UsagePlan, typer.Option(case_sensitive=False, help="What it is given to spend.")]


def list_(
    account: Annotated[str, typer.Option(help="Id or name: only that account's.")] = "",
    expired: Annotated[bool, typer.Option("--expired", help="Also those that can still be renewed.")] = False,
    gone: Annotated[bool, typer.Option("--gone", help="All that are known, also those that are over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="How many at most.")] = 100,
    before: Annotated[str, typer.Option(help="Only those older than the booking with this id.")] = "",
    as_json: Json = False,
) -> None:
    """Bookings, newest first. Their hidden numbers are not shown."""
    settings = Settings()
    policy, at = policy_of(settings), SystemClock().timestamp()

    def page(tx: Transaction) -> list[dict[str, Any]]:
        account_id = accounts.account_of(tx, account).id if account else ""
        expires_after = now_of(tx, account_id, at) - (policy.grace_ms if expired else 0)
        found = tx.overview.bookings(
            AccountId(account_id) if account_id else None,
            expires_after=expires_after,
            gone=gone,
            before_id=before or None,
            limit=limit + 1,
        )
        return [shown(tx, each, at, policy) for each in found]

    found = run_command(settings, page)
    rows = found[:limit]
    if not as_json:  # so wide that a terminal would leave little of any column
        rows = [{name: row[name] for name in row if name not in SHOWN_ONE_BY_ONE} for row in rows]
    show(rows, as_json=as_json)
    if len(found) > limit:
        complain(f"there are more: --before {found[limit - 1]['id']}")


def renew(
    booking_id: BookingIdArgument,
    plan: Plan = UsagePlan.SMALL,
    callback: Annotated[str | None, typer.Option(help="The URL that is told of calls from now on.")] = None,
    as_json: Json = False,
) -> None:
    """Add a plan to a booking, also to one that is expired. Calls that are up may last longer at once."""
    settings = Settings()
    if callback is not None:
        check_callback(callback, settings)
    renewal, at, policy = Renewal(plan, callback=callback), SystemClock().timestamp(), policy_of(settings)

    def add(tx: Transaction) -> dict[str, Any]:
        owned = owned_booking(tx, booking_id)
        account_id = owned.booking.account_id
        renewed = bookings.renew(
            tx, account_id, BookingId(booking_id), renewal, EpochMs(now_of(tx, account_id, at)), policy
        )
        return shown(tx, OwnedBooking(owned.account, renewed), at, policy)

    show_one(run_command(settings, add), as_json=as_json)
    with suppress(EngineSilent):  # what lies idle is shared at the next look, too
        ask_engine(settings.data_dir, ShareSeconds(BookingId(booking_id)))


def delete(
    booking_id: BookingIdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End a booking for good, and its live calls; its number rests in quarantine. Call records stay."""
    settings = Settings()
    at, policy = SystemClock().timestamp(), policy_of(settings)
    owned = run_command(settings, owned_booking, booking_id)
    if not yes:
        typer.confirm(f"End the booking of {owned.booking.service} for {owned.account}?", abort=True, err=True)

    def end(tx: Transaction) -> list[CallId]:
        account_id = owned.booking.account_id
        return bookings.cancel(tx, account_id, BookingId(booking_id), EpochMs(now_of(tx, account_id, at)), policy)

    up = run_command(settings, end)
    done = None
    if up:
        with suppress(EngineSilent):
            done = ask_engine(settings.data_dir, EndCalls(BookingId(booking_id)))
    left = len(up) if done is None else done.unreached
    show_one({"id": booking_id, "service": owned.booking.service, "callsEnded": len(up) - left}, as_json=as_json)
    if left:
        complain(f"{left} calls could not be ended now: the engine does it as soon as it can reach Asterisk")


def check_callback(url: str, settings: Settings) -> None:
    """Raises CallbackNotAcceptable, like the API."""
    from engine.callbacks.ssrf import check_callback  # noqa: PLC0415  heavy, and only for this

    try:
        check_callback(url, callback_rules_of(settings))
    except CallbackNotAcceptable as refused:
        if settings.allow_private_callbacks:
            raise
        raise CallbackNotAcceptable(f"{refused}\none on this machine is for a demo only ({DEMO})") from None


def owned_booking(tx: Transaction, booking_id: str) -> OwnedBooking:
    booking = tx.bookings.by_id(BookingId(booking_id))
    if booking is None:
        raise NotFound("there is no such booking")
    return OwnedBooking(accounts.account_of(tx, booking.account_id).name, booking)


def now_of(tx: Transaction, account_id: str, at: Timestamp) -> int:
    """Epoch milliseconds, by the clock that the account goes by."""
    return tx.worlds.timestamp(AccountId(account_id), at).wall_ms


def shown(tx: Transaction, owned: OwnedBooking, at: Timestamp, policy: Policy) -> dict[str, Any]:
    booking = owned.booking
    return {
        "id": booking.id,
        "account": owned.account,
        "service": booking.service,
        "status": status_at(booking, EpochMs(now_of(tx, booking.account_id, at)), policy).value,
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "secondsRemaining": booking.seconds.remaining,
        "callsRemaining": booking.calls.remaining,
        "callsUp": booking.calls.leased,
        "paused": booking.paused,
        "label": masked_text(booking.label) or None,
    }
