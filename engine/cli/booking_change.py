"""`bookings change`: what `PATCH /bookings/{id}` does, for any account."""

from contextlib import suppress
from dataclasses import fields
from typing import Annotated, Any

import typer

from engine.bookings import lifecycle
from engine.bookings.lifecycle import BookingPatch
from engine.cli.booking_create import HoursOption, TimeZone, checked_metadata, start_from
from engine.cli.booking_rows import check_callback, now_of, owned_booking, row_of
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import BookingIdArgument
from engine.cli.output import Json, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.client import ask_engine
from engine.control.protocol import EngineSilent
from engine.control.requests import ShareSeconds
from engine.domain.booking import CallerId
from engine.domain.errors import InvalidInput
from engine.domain.hours import ANY_TIME, WeeklyHours, hours_from_text
from engine.domain.ids import BookingId
from engine.domain.policy import MAX_CALL_SECONDS, MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS, BookingLimits
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

Destination = Annotated[
    bool,
    typer.Option(
        "--destination", help="Ask for another number to hide: other users of this machine see command lines."
    ),
]
NewMetadata = Annotated[
    list[str] | None, typer.Option(help="`key=value`; may be repeated. Replaces all metadata that was there.")
]
Anonymous = Annotated[
    bool | None,
    typer.Option("--refuse-anonymous/--take-anonymous", help="Refuse or take callers who withhold their number."),
]
Whisper = Annotated[
    bool | None,
    typer.Option("--whisper/--no-whisper", help="Tell the destination that calls come through the rented number."),
]
Greeting = Annotated[
    bool | None,
    typer.Option("--greeting/--no-greeting", help="Let callers hear a greeting while the destination rings."),
]
Beep = Annotated[
    bool | None, typer.Option("--beep/--no-beep", help="Let both sides hear a beep when a minute of the call is left.")
]
FormerCallers = Annotated[
    bool | None,
    typer.Option(
        "--accept-former-callers/--refuse-former-callers",
        help="Take or refuse callers who reached this number when others had it.",
    ),
]
ConcurrentCalls = Annotated[
    int | None, typer.Option(min=0, max=MAX_CONCURRENT_CALLS, help="The most calls at once; 0: the general limit.")
]
CallsPerCaller = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=MAX_CALLS_PER_CALLER_PER_HOUR,
        help="The most calls of one caller within an hour; 0: the general limit.",
    ),
]
CallSeconds = Annotated[
    int | None,
    typer.Option(
        min=0, max=MAX_CALL_SECONDS, help="The longest that one call may last, in seconds; 0: the general limit."
    ),
]


app = typer.Typer(add_completion=False)


@app.command()
def change(
    booking_id: BookingIdArgument,
    destination: Destination = False,
    callback: Annotated[str | None, typer.Option(help="The URL that receives callbacks from now on.")] = None,
    label: Annotated[str | None, typer.Option(help="A name for people to read; an empty one removes it.")] = None,
    metadata: NewMetadata = None,
    no_metadata: Annotated[bool, typer.Option("--no-metadata", help="Remove all metadata.")] = False,
    paused: Annotated[bool | None, typer.Option("--paused/--resumed", help="Refuse calls, or take them again.")] = None,
    caller_id: Annotated[CallerId | None, typer.Option(help="What the destination sees of callers.")] = None,
    refuse_anonymous: Anonymous = None,
    reverse: Annotated[
        bool | None, typer.Option("--reverse/--no-reverse", help="Let the hidden number call back, or not.")
    ] = None,
    language: Annotated[Language | None, typer.Option(help="The language of what is spoken in calls.")] = None,
    whisper: Whisper = None,
    screening: Annotated[
        Screening | None, typer.Option(help="What the destination must do before a call is connected and charged.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="When it begins (RFC 3339), if it has not begun. Its end moves along.")
    ] = None,
    hours: HoursOption = None,
    time_zone: TimeZone = "UTC",
    any_time: Annotated[bool, typer.Option("--any-time", help="Take calls at any time again.")] = False,
    greeting: Greeting = None,
    accept_former_callers: FormerCallers = None,
    beep: Beep = None,
    max_concurrent_calls: ConcurrentCalls = None,
    max_calls_per_caller_per_hour: CallsPerCaller = None,
    max_call_seconds: CallSeconds = None,
    as_json: Json = False,
) -> None:
    """Change a booking without renewing it. What is not given stays as it is; live calls go on."""
    settings = Settings()
    booking_id = booking_named(settings, booking_id)
    if callback is not None:
        check_callback(callback, settings)
    patch = BookingPatch(
        destination=typer.prompt("Number to hide", err=True) if destination else None,
        callback=callback,
        limits=_limits(max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds),
        caller_id=caller_id,
        refuse_anonymous=refuse_anonymous,
        paused=paused,
        label=label,
        metadata=_metadata(label, metadata or [], removed=no_metadata),
        language=language,
        whisper=whisper,
        screening=screening,
        hours=_hours(time_zone, hours or [], removed=any_time),
        reverse=reverse,
        greeting=greeting,
        accept_former_callers=accept_former_callers,
        beep=beep,
        start_at=start_from(start),
    )
    if patch == BookingPatch():
        raise InvalidInput(["nothing to change: `bookings change --help` shows what can be changed"])
    show_one(_change(settings, booking_id, patch), as_json=as_json)
    with suppress(EngineSilent):  # the engine also applies a new longest call at its next round
        ask_engine(settings.data_dir, ShareSeconds(BookingId(booking_id)))


def _change(settings: Settings, booking_id: str, patch: BookingPatch) -> dict[str, Any]:
    at, policy = SystemClock().timestamp(), policy_of(settings)

    def carry_out(tx: Transaction) -> dict[str, Any]:
        owned = owned_booking(tx, booking_id)
        account_id = owned.booking.account_id
        changed = lifecycle.change(tx, account_id, owned.booking.id, patch, now_of(tx, account_id, at), policy)
        return row_of(tx, OwnedBooking(owned.account, changed), at, policy)

    return run_command(settings, carry_out)


def _limits(*given: int | None) -> dict[str, int | None]:
    """Returns the limits that were given, by their names in BookingLimits; a 0 becomes None, which removes one."""
    names = (each.name for each in fields(BookingLimits))
    return {name: limit or None for name, limit in zip(names, given, strict=True) if limit is not None}


def _hours(time_zone: str, given: list[str], *, removed: bool) -> WeeklyHours | None:
    """Returns the new hours; None: they stay as they are. Raises InvalidInput."""
    if given and removed:
        raise InvalidInput(["give either --hours or --any-time"])
    if removed:
        return ANY_TIME
    return hours_from_text(time_zone, given) if given else None


def _metadata(label: str | None, given: list[str], *, removed: bool) -> dict[str, str] | None:
    """Returns the new metadata; None: it stays as it is. Raises InvalidInput."""
    if given and removed:
        raise InvalidInput(["give either --metadata or --no-metadata"])
    pairs = checked_metadata(label or "", given)
    return pairs if given or removed else None
