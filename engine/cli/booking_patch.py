"""`bookings change`: what `PATCH /bookings/{id}` does, by the operator and for any account."""

from contextlib import suppress
from dataclasses import fields
from typing import Annotated, Any

import typer

from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch
from engine.cli.booking_changes import BookingIdArgument, check_callback, now_of, owned_booking, shown
from engine.cli.database import run_command
from engine.cli.new_booking import checked_notes
from engine.cli.output import Json, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine
from engine.control.protocol import EngineSilent
from engine.control.requests import ShareSeconds
from engine.domain.booking import CallerId
from engine.domain.errors import InvalidInput
from engine.domain.ids import BookingId
from engine.domain.policy import MAX_CALL_SECONDS, MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS, BookingLimits
from engine.domain.times import EpochMs
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

Destination = Annotated[
    bool, typer.Option("--destination", help="Ask for another number to hide: others can see command lines.")
]
Notes = Annotated[
    list[str] | None, typer.Option(help="`key=value`, as often as needed, in the place of all that were there.")
]
Anonymous = Annotated[bool | None, typer.Option("--refuse-anonymous/--take-anonymous", help="Calls without a number.")]
AtOnce = Annotated[
    int | None, typer.Option(min=0, max=MAX_CONCURRENT_CALLS, help="How many calls at once; 0: the general limit.")
]
OfOneCaller = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_CALLS_PER_CALLER_PER_HOUR, help="Of one caller within an hour; 0: the general limit."),
]
Longest = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_CALL_SECONDS, help="How long one call may last, in seconds; 0: the general limit."),
]


def change(
    booking_id: BookingIdArgument,
    destination: Destination = False,
    callback: Annotated[str | None, typer.Option(help="The URL that is told of calls from now on.")] = None,
    label: Annotated[str | None, typer.Option(help="A name for people; an empty one removes it.")] = None,
    metadata: Notes = None,
    no_metadata: Annotated[bool, typer.Option("--no-metadata", help="Remove all of it.")] = False,
    paused: Annotated[bool | None, typer.Option("--paused/--resumed", help="Keep calls out, or let them in.")] = None,
    caller_id: Annotated[CallerId | None, typer.Option(help="What the destination sees of callers.")] = None,
    refuse_anonymous: Anonymous = None,
    max_concurrent_calls: AtOnce = None,
    max_calls_per_caller_per_hour: OfOneCaller = None,
    max_call_seconds: Longest = None,
    as_json: Json = False,
) -> None:
    """Change a booking without renewing it. What is not given stays; calls that are up go on."""
    settings = Settings()
    if callback is not None:
        check_callback(callback, settings)
    changes = BookingPatch(
        destination=typer.prompt("Number to hide", err=True) if destination else None,
        callback=callback,
        limits=_limits(max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds),
        caller_id=caller_id,
        refuse_anonymous=refuse_anonymous,
        paused=paused,
        label=label,
        metadata=_metadata(label, metadata or [], removed=no_metadata),
    )
    if changes == BookingPatch():
        raise InvalidInput(["say what to change: `bookings change --help` shows what can be"])
    show_one(_changed(settings, booking_id, changes), as_json=as_json)
    with suppress(EngineSilent):  # another longest call is heeded at the next look, too
        ask_engine(settings.data_dir, ShareSeconds(BookingId(booking_id)))


def _changed(settings: Settings, booking_id: str, changes: BookingPatch) -> dict[str, Any]:
    at, policy = SystemClock().timestamp(), policy_of(settings)

    def carry_out(tx: Transaction) -> dict[str, Any]:
        found = owned_booking(tx, booking_id)
        account_id = found.booking.account_id
        changed = bookings.change(
            tx, account_id, BookingId(booking_id), changes, EpochMs(now_of(tx, account_id, at)), policy
        )
        return shown(tx, OwnedBooking(found.account, changed), at, policy)

    return run_command(settings, carry_out)


def _limits(*given: int | None) -> dict[str, int | None]:
    """In the order of `Limits`, by their names there: those that were given, None for a 0."""
    names = (each.name for each in fields(BookingLimits))
    return {name: limit or None for name, limit in zip(names, given, strict=True) if limit is not None}


def _metadata(label: str | None, given: list[str], *, removed: bool) -> dict[str, str] | None:
    """None: it stays. Raises InvalidInput."""
    if given and removed:
        raise InvalidInput(["give --metadata or --no-metadata"])
    pairs = checked_notes(label or "", given)
    return pairs if given or removed else None
