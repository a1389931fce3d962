"""`bookings create`: a booking for an account, with everything that `POST /bookings` takes."""

from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.bookings import lifecycle
from engine.bookings.lifecycle import BookingRequest
from engine.cli.booking_rows import check_callback, now_of, row_of
from engine.cli.database import run_command
from engine.cli.options import AccountOption, PlanOption
from engine.cli.output import Json, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain import notes
from engine.domain.booking import CallerId
from engine.domain.destinations import COUNTRIES
from engine.domain.errors import InvalidInput
from engine.domain.hours import hours_from_text
from engine.domain.number_choice import ANY_COUNTRY, AREA, NumberRequest
from engine.domain.numbers import E164, PREFIX, is_e164
from engine.domain.pairs import Participant, Participants
from engine.domain.policy import (
    MAX_CALL_SECONDS,
    MAX_CALLS_PER_CALLER_PER_HOUR,
    MAX_CONCURRENT_CALLS,
    BookingLimits,
    UsagePlan,
)
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.domain.times import NO_INSTANT, EpochMs, instant_from
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

ConcurrentCalls = Annotated[int | None, typer.Option(min=1, max=MAX_CONCURRENT_CALLS, help="The most calls at once.")]
CallsPerCaller = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_CALLS_PER_CALLER_PER_HOUR, help="The most calls of one caller within an hour."),
]
CallSeconds = Annotated[
    int | None, typer.Option(min=1, max=MAX_CALL_SECONDS, help="The longest that one call may last, in seconds.")
]


app = typer.Typer(add_completion=False)


HoursOption = Annotated[
    list[str] | None,
    typer.Option(help="When it takes calls, such as `mon-fri 09:00-17:30`; may be repeated. Without it: at any time."),
]
TimeZone = Annotated[str, typer.Option(help="The time zone of --hours, such as Europe/Brussels.")]
Destination = Annotated[
    str | None,
    typer.Argument(
        help="The number to hide, E.164. Leave it out to be asked: other users of this machine see command lines."
    ),
]
ParticipantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--participant",
        help="In place of a number to hide: one of the two people who reach each other, +32… or +32…=name. Twice.",
    ),
]
PairOption = Annotated[bool, typer.Option("--pair", help="Ask for the numbers of these two people.")]
Country = Annotated[
    str | None, typer.Option(help="Or any number of this country, such as BE; any: of whatever country.")
]
Service = Annotated[str | None, typer.Option(help="The number to rent, and no other.")]
Prefix = Annotated[str | None, typer.Option(help="Or any number that begins so.")]
Area = Annotated[
    str | None,
    typer.Option(help="Its digits after the country code, such as 2, in --country or the destination's country."),
]


@app.command()
def create(
    account: AccountOption,
    callback: Annotated[str, typer.Option(help="The URL that receives callbacks about its calls.")],
    destination: Destination = None,
    participant: ParticipantOption = None,
    pair: PairOption = False,
    plan: PlanOption = UsagePlan.SMALL,
    service: Service = None,
    prefix: Prefix = None,
    country: Country = None,
    area: Area = None,
    label: Annotated[str, typer.Option(help="A name for people to read.")] = "",
    metadata: Annotated[list[str] | None, typer.Option(help="`key=value`; may be repeated.")] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Let no calls in until the booking is resumed.")] = False,
    caller_id: Annotated[
        CallerId | None,
        typer.Option(help="What the destination sees of callers. Without it: caller; in a pair, service."),
    ] = None,
    refuse_anonymous: Annotated[
        bool, typer.Option("--refuse-anonymous", help="Refuse callers who withhold their number.")
    ] = False,
    language: Annotated[
        Language | None, typer.Option(help="The language of what is spoken in calls; without it, the general one.")
    ] = None,
    hours: HoursOption = None,
    time_zone: TimeZone = "UTC",
    start: Annotated[
        str | None, typer.Option(help="When it begins (RFC 3339); its plan's days count from then. Without it: now.")
    ] = None,
    whisper: Annotated[
        bool, typer.Option("--whisper", help="Tell the destination that the call comes through the rented number.")
    ] = False,
    screening: Annotated[
        Screening, typer.Option(help="What the destination must do before a call is connected and charged.")
    ] = Screening.NONE,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Let the hidden number call back: it reaches who called last.")
    ] = False,
    greeting: Annotated[
        bool, typer.Option("--greeting", help="Let callers hear a greeting while the destination rings.")
    ] = False,
    pins: Annotated[
        bool, typer.Option("--pins", help="Give each participant a PIN, for calls from any other telephone.")
    ] = False,
    accept_former_callers: Annotated[
        bool, typer.Option("--accept-former-callers", help="Take callers who reached this number when others had it.")
    ] = False,
    beep: Annotated[
        bool, typer.Option("--beep", help="Let both sides hear a beep when a minute of the call is left.")
    ] = False,
    max_concurrent_calls: ConcurrentCalls = None,
    max_calls_per_caller_per_hour: CallsPerCaller = None,
    max_call_seconds: CallSeconds = None,
    as_json: Json = False,
) -> None:
    """Book a number for an account. Where no limit is given, the operator's general one holds.

    Where no number is asked for, it is one of the destination's country, if one is free and the settings do not say
    otherwise.
    """
    settings = Settings()
    check_callback(callback, settings)
    number, pairs = number_request(service, prefix, country, area), checked_metadata(label, metadata or [])
    owner = run_command(settings, account_of, account)
    limits = BookingLimits(max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds)
    participants = _participants(destination, participant or [], asked=pair)
    if pins and participants is None:
        raise InvalidInput(["--pins goes with --participant or --pair only"])
    request = BookingRequest(
        owner.id,
        None if participants else E164(destination or typer.prompt("Number to hide", err=True)),
        plan,
        callback,
        limits,
        caller_id or (CallerId.SERVICE if participants else CallerId.CALLER),
        refuse_anonymous,
        paused,
        label,
        pairs,
        number,
        language,
        start_from(start),
        whisper,
        screening,
        hours_from_text(time_zone, hours) if hours else None,
        reverse,
        greeting,
        participants,
        accept_former_callers,
        pins,
        beep,
    )
    show_one(_book(settings, request, owner.name), as_json=as_json)


def _book(settings: Settings, request: BookingRequest, owner: str) -> dict[str, Any]:
    at, policy = SystemClock().timestamp(), policy_of(settings)

    def book(tx: Transaction) -> dict[str, Any]:
        booked = lifecycle.book(tx, request, now_of(tx, request.account_id, at), policy)
        return row_of(tx, OwnedBooking(owner, booked), at, policy)

    return run_command(settings, book)


def _participants(destination: str | None, given: list[str], *, asked: bool) -> Participants | None:
    """Returns the two participants; None where there are none. Raises InvalidInput."""
    if asked and not given:
        given = [typer.prompt(f"Number of the {which} person", err=True) for which in ("first", "second")]
    if not given:
        return None
    numbers = [each.partition("=") for each in given]
    if destination is not None or len(numbers) != 2:
        raise InvalidInput(["give one number to hide, or --participant twice"])
    if not all(notes.LABEL.fullmatch(name) for _, equals, name in numbers if equals):
        raise InvalidInput(["--participant: a name has 1 to 100 characters, without control or direction marks"])
    first, second = (Participant(E164(number), name) for number, _, name in numbers)
    return first, second


def number_request(service: str | None, prefix: str | None, country: str | None, area: str | None) -> NumberRequest:
    """Returns which number is wanted. Raises InvalidInput with everything that is wrong."""
    problems = []
    if sum(wish is not None for wish in (service, prefix, country or area)) > 1:
        problems.append("give only one of --service, --prefix and --country, and --area only with --country or alone")
    if area is not None and country == ANY_COUNTRY:
        problems.append("--area belongs to one country, not to any")
    if service is not None and not is_e164(service):
        problems.append("--service must be an E.164 number, such as +3225551234")
    if prefix is not None and not PREFIX.fullmatch(prefix):
        problems.append("--prefix must be + and 1 to 14 digits, such as +32255")
    if country is not None and country not in {*COUNTRIES, ANY_COUNTRY}:
        problems.append("--country must be a country with telephone numbers: two capital letters, such as BE, or any")
    if area is not None and not AREA.fullmatch(area):
        problems.append("--area must be 1 to 10 digits, such as 2 or 415")
    if problems:
        raise InvalidInput(problems)
    return NumberRequest(None if service is None else E164(service), prefix, country, area)


def start_from(text: str | None) -> EpochMs | None:
    """Returns the instant of `--start`; None if it is not given. Raises InvalidInput."""
    start_at = None if text is None else instant_from(text)
    if text is not None and start_at is None:
        raise InvalidInput([f"--start {NO_INSTANT}"])
    return start_at


def checked_metadata(label: str, metadata: list[str]) -> dict[str, str]:
    """Checks a label and `key=value` texts, and returns the pairs.

    Raises:
        InvalidInput: With everything that is wrong, and without the texts themselves, which may be personal.
    """
    pairs = {key: value for key, _, value in (each.partition("=") for each in metadata)}
    problems = []
    if label and not notes.LABEL.fullmatch(label):
        problems.append("--label must have 1 to 100 characters, without control or direction marks")
    if not all("=" in each for each in metadata) or len(pairs) != len(metadata) or len(pairs) > notes.MAX_PAIRS:
        problems.append(f"--metadata must be key=value, with each key once, at most {notes.MAX_PAIRS} times")
    if not all(notes.KEY.fullmatch(key) and notes.is_value(value) for key, value in pairs.items()):
        problems.append(
            "--metadata: a key must have 1 to 40 letters, digits, dots, hyphens or underscores, "
            f"a value at most {notes.MAX_VALUE} characters"
        )
    if problems:
        raise InvalidInput(problems)
    return pairs
