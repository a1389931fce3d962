"""`accounts …`: customers' accounts, their states, limits and chosen events."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic.alias_generators import to_camel

from engine.accounts import accounts, lifecycle
from engine.bookings import closing
from engine.callbacks import notifications
from engine.cli.database import run_command
from engine.cli.options import AccountArgument, YesOption
from engine.cli.output import Json, complain, show, show_one, with_times
from engine.cli.portal_link import portal_link
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine
from engine.control.protocol import EngineRefused, EngineSilent
from engine.control.requests import EndCalls
from engine.domain.account_limits import MOST, AccountLimits
from engine.domain.account_state import state_of
from engine.domain.errors import InvalidInput
from engine.domain.ids import BookingId
from engine.domain.notifications import EventType
from engine.domain.wording import counted
from engine.runtime.clock import SystemClock
from engine.storage.accounts import Account
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Customers' accounts.")
app.command("portal-link")(portal_link)


@app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Unique name of the customer.")], as_json: Json = False
) -> None:
    """Make an account, and show the secret with which the customer verifies callbacks."""
    account = run_command(Settings(), accounts.create_account, name, SystemClock().now())
    show_one({"id": account.id, "name": account.name, "webhookSecret": account.webhook_secret}, as_json=as_json)


@app.command("list")
def list_accounts(as_json: Json = False) -> None:
    """List all accounts without their secrets, and sandboxes with the account that they belong to."""
    rows = run_command(Settings(), lambda tx: tx.accounts.all())
    show(
        [
            with_times(
                {"id": row["id"], "name": row["name"], "testOf": row["test_of"]},
                createdAt=row["created_at"],
            )
            | _state_columns(row["suspended_at"], row["suspended_reason"], row["closed_at"])
            for row in rows
        ],
        as_json=as_json,
    )


@app.command("suspend")
def suspend(
    account: AccountArgument,
    reason: Annotated[
        str | None, typer.Option(help=f"Why, for the operator alone; up to {lifecycle.MAX_REASON} characters.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Suspend an account and its sandbox until `resume`: new calls to its bookings, and its API keys, are refused.

    Live calls go on to their end, the time of bookings goes on, and callbacks still go out. What is booked stays.
    """
    found = run_command(Settings(), lifecycle.suspend, account, reason, SystemClock().now())
    show_one(_shown(found), as_json=as_json)


@app.command("resume")
def resume(account: AccountArgument, as_json: Json = False) -> None:
    """Lift the suspension of an account and of its sandbox. It takes effect at once."""
    show_one(_shown(run_command(Settings(), lifecycle.resume, account)), as_json=as_json)


@app.command("rename")
def rename(
    account: AccountArgument,
    name: Annotated[str, typer.Argument(help="Its new name, unique.")],
    as_json: Json = False,
) -> None:
    """Give an account another name. Its id, which keys and records name, stays the same."""
    show_one(_shown(run_command(Settings(), lifecycle.rename, account, name)), as_json=as_json)


@app.command("close")
def close(
    account: AccountArgument,
    force: Annotated[bool, typer.Option("--force", help="Also while calls are live, which then end.")] = False,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Close an account for good: its keys are revoked, its bookings end, its numbers go into quarantine.

    Its sandbox is closed with it. Callbacks still go out, and records are kept as long as those of others. To finish a
    close that was interrupted, run it again.
    """
    settings, clock = Settings(), SystemClock()
    policy = policy_of(settings)
    found = run_command(settings, lifecycle.own_account, account)
    if not yes and found.closed_at is None:
        held = run_command(settings, _limits, found.id, settings.account_limits)["bookingsHeld"]
        typer.confirm(f"Close {found.name} for good, and end its {counted(held, 'booking')}?", abort=True, err=True)
    # The time is read now: bookings may have been made while the question waited for its answer.
    closed = run_command(settings, closing.close, found.id, clock.now(), with_live_calls=force)
    ended = 0
    while batch := run_command(settings, closing.end_bookings_of_closed, clock.now(), policy):
        ended += batch
    left = len(closed.live) - _calls_ended(settings, closed.live)
    counts = {"keysRevoked": closed.keys_revoked, "bookingsEnded": ended, "callsEnded": len(closed.live) - left}
    show_one(_shown(closed.account) | counts, as_json=as_json)
    if left:
        complain(f"{counted(left, 'call')} could not be ended now: the engine tries again once it reaches Asterisk")


def _calls_ended(settings: Settings, live: list[BookingId]) -> int:
    """Lets a running engine end the calls of these bookings. Returns how many it reached."""
    reached = 0
    for booking_id in dict.fromkeys(live):
        with suppress(EngineSilent, EngineRefused):
            done = ask_engine(settings.data_dir, EndCalls(booking_id))
            reached += 0 if done is None else done.calls - done.unreached
    return min(reached, len(live))


def _shown(account: Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name} | _state_columns(
        account.suspended_at, account.suspended_reason, account.closed_at
    )


def _state_columns(suspended_at: int | None, reason: str | None, closed_at: int | None) -> dict[str, Any]:
    record = {"state": state_of(suspended_at, closed_at).value}
    return with_times(record, suspendedAt=suspended_at, closedAt=closed_at) | {"reason": reason}


@app.command("events")
def choose_events(
    account: AccountArgument,
    chosen: Annotated[
        str | None,
        typer.Option("--set", help="All further events that the account shall get, separated by commas; empty: none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show or set the further events that an account gets callbacks about. A change takes effect at once."""
    record = run_command(Settings(), _events, account, None if chosen is None else _read_events(chosen))
    if not as_json:
        record = record | {"events": ", ".join(record["events"]) or "none"}
    show_one(record, as_json=as_json)


def _events(tx: Transaction, account: str, chosen: list[EventType] | None) -> dict[str, Any]:
    account_id = accounts.account_of(tx, account).id
    if chosen is not None:
        notifications.choose_events(tx, account_id, chosen)
    held = tx.notifications.chosen(account_id)
    return {"accountId": account_id, "events": [str(kind) for kind in EventType if kind in held]}


def _read_events(text: str) -> list[EventType]:
    """Returns the events that the text names. Raises InvalidInput, which lists all that exist."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = {str(kind): kind for kind in EventType}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise InvalidInput([f"there is no event {unknown[0][:40]!r}; there are {', '.join(known)}"])
    return [known[word] for word in words]


MaxBookings = Annotated[
    int | None,
    typer.Option(min=1, max=MOST.max_bookings, help="Bookings that it may hold, with its numbers in quarantine."),
]
NewBookingsADay = Annotated[
    int | None,
    typer.Option(min=1, max=MOST.new_bookings_a_day, help="Bookings that it may make within any 24 hours."),
]
RequestsPerMinute = Annotated[
    int | None,
    typer.Option(min=1, max=MOST.requests_per_minute, help="API requests that it may send within a minute."),
]
StoredMegabytes = Annotated[
    int | None,
    typer.Option(min=1, max=MOST.stored_megabytes, help="Megabytes that its requests may have stored."),
]
CallsAtOnce = Annotated[
    int | None,
    typer.Option(min=1, max=MOST.calls_at_once, help="Calls that it may have at once, ringing ones included."),
]


@app.command("limits")
def limits(
    account: AccountArgument,
    max_bookings: MaxBookings = None,
    new_bookings_a_day: NewBookingsADay = None,
    requests_per_minute: RequestsPerMinute = None,
    stored_megabytes: StoredMegabytes = None,
    calls_at_once: CallsAtOnce = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Drop its own limits first, so that those of the settings apply again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show or set the limits of an account, and show what it uses of them. A change takes effect at once.

    `own` names the limits that this account has of its own; the others are those of the settings.
    """
    options = {
        "max_bookings": max_bookings,
        "new_bookings_a_day": new_bookings_a_day,
        "requests_per_minute": requests_per_minute,
        "stored_megabytes": stored_megabytes,
        "calls_at_once": calls_at_once,
    }
    own = {name: value for name, value in options.items() if value is not None}
    settings = Settings()
    if own or reset:
        run_command(settings, accounts.set_limits, account, own, reset=reset)
    record = run_command(settings, _limits, account, settings.account_limits)
    if not as_json:
        record = record | {"own": ", ".join(record["own"]) or "none"}
    show_one(record, as_json=as_json)


def _limits(tx: Transaction, account: str, default: AccountLimits) -> dict[str, Any]:
    account_id = accounts.account_of(tx, account).id
    in_force = tx.accounts.limits(account_id, default)
    used = tx.accounts.summary(account_id, in_force, tx.sandboxes.now(account_id, SystemClock().now()))
    return {
        "accountId": account_id,
        **{to_camel(name): limit for name, limit in asdict(in_force).items()},
        "own": [to_camel(name) for name in tx.accounts.own_limits(account_id)],
        "bookingsHeld": used.bookings_held,
        "numbersInQuarantine": used.numbers_in_quarantine,
        "newBookingsLastDay": used.new_bookings,
        "callsUp": used.calls_up,
        "storedBytes": tx.accounts.stored_bytes(account_id),
    }
