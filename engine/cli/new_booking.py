"""`bookings create`: a booking for an account, by the operator, with all that `POST /bookings` takes."""

from typing import Annotated, Any

import typer

from engine.accounts import accounts
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.cli.booking_changes import Plan, check_callback, now_of, shown
from engine.cli.database import run_command
from engine.cli.output import Json, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain import notes
from engine.domain.booking import CallerId
from engine.domain.destinations import COUNTRIES
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164, PREFIX, NumberRequest, is_e164
from engine.domain.policy import (
    MAX_CALL_SECONDS,
    MAX_CALLS_PER_CALLER_PER_HOUR,
    MAX_CONCURRENT_CALLS,
    BookingLimits,
    UsagePlan,
)
from engine.domain.times import EpochMs
from engine.runtime.clock import SystemClock
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction

AtOnce = Annotated[int | None, typer.Option(min=1, max=MAX_CONCURRENT_CALLS, help="How many calls at once.")]
OfOneCaller = Annotated[
    int | None, typer.Option(min=1, max=MAX_CALLS_PER_CALLER_PER_HOUR, help="Of one caller within an hour.")
]
Longest = Annotated[int | None, typer.Option(min=1, max=MAX_CALL_SECONDS, help="How long one call may last.")]


def create(
    account: Annotated[str, typer.Option(help="Id or name of the account that it is for.")],
    callback: Annotated[str, typer.Option(help="The URL that is told of its calls.")],
    destination: Annotated[
        str | None,
        typer.Argument(help="The number to hide, E.164. Asked for without it: others can see command lines."),
    ] = None,
    plan: Plan = UsagePlan.SMALL,
    service: Annotated[str | None, typer.Option(help="The number to rent, and no other.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Or one that begins so.")] = None,
    country: Annotated[str | None, typer.Option(help="Or one of this country, such as BE.")] = None,
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    metadata: Annotated[list[str] | None, typer.Option(help="`key=value`, as often as needed.")] = None,
    paused: Annotated[bool, typer.Option("--paused", help="No calls until its owner lets them through.")] = False,
    caller_id: Annotated[CallerId, typer.Option(help="What the destination sees of callers.")] = CallerId.CALLER,
    refuse_anonymous: Annotated[bool, typer.Option("--refuse-anonymous", help="No calls without a number.")] = False,
    max_concurrent_calls: AtOnce = None,
    max_calls_per_caller_per_hour: OfOneCaller = None,
    max_call_seconds: Longest = None,
    as_json: Json = False,
) -> None:
    """Book a number for an account. Without a limit the general one counts."""
    settings = Settings()
    check_callback(callback, settings)
    wanted, pairs = _wanted(service, prefix, country), checked_notes(label, metadata or [])
    owner = run_command(settings, accounts.account_of, account)
    limits = BookingLimits(max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds)
    hidden = destination or typer.prompt("Number to hide", err=True)
    request = BookingRequest(
        owner.id, E164(hidden), plan, callback, limits, caller_id, refuse_anonymous, paused, label, pairs, wanted
    )
    show_one(_booked(settings, request, owner.name), as_json=as_json)


def _booked(settings: Settings, request: BookingRequest, owner: str) -> dict[str, Any]:
    at, policy = SystemClock().timestamp(), policy_of(settings)

    def book(tx: Transaction) -> dict[str, Any]:
        booked = bookings.book(tx, request, EpochMs(now_of(tx, request.account_id, at)), policy)
        return shown(tx, OwnedBooking(owner, booked), at, policy)

    return run_command(settings, book)


def _wanted(service: str | None, prefix: str | None, country: str | None) -> NumberRequest:
    """Raises InvalidInput."""
    problems = []
    if sum(wish is not None for wish in (service, prefix, country)) > 1:
        problems.append("give one of --service, --prefix and --country")
    if service is not None and not is_e164(service):
        problems.append("--service must be an E.164 number, such as +3225551234")
    if prefix is not None and not PREFIX.fullmatch(prefix):
        problems.append("--prefix must be + and 1 to 14 digits, such as +32255")
    if country is not None and country not in COUNTRIES:
        problems.append("--country is no country that has numbers: two capital letters, such as BE")
    if problems:
        raise InvalidInput(problems)
    return NumberRequest(None if service is None else E164(service), prefix, country)


def checked_notes(label: str, metadata: list[str]) -> dict[str, str]:
    """Raises InvalidInput, with no word of what was given."""
    pairs = {key: value for key, _, value in (each.partition("=") for each in metadata)}
    problems = []
    if label and not notes.LABEL.fullmatch(label):
        problems.append("--label has 1 to 100 characters, none of them for control or direction")
    if not all("=" in each for each in metadata) or len(pairs) != len(metadata) or len(pairs) > notes.MAX_PAIRS:
        problems.append(f"--metadata is key=value, each key once, up to {notes.MAX_PAIRS} of them")
    if not all(notes.KEY.fullmatch(key) and notes.is_value(value) for key, value in pairs.items()):
        problems.append(
            "--metadata: a key has 1 to 40 letters, digits, dots, hyphens or underscores, "
            f"a value up to {notes.MAX_VALUE} characters"
        )
    if problems:
        raise InvalidInput(problems)
    return pairs
