"""`explain`: would a call be put through, and why."""

from typing import Annotated

import typer

from api.schemas.explanations import ExplanationBody
from engine.bookings.explain import explain as explain_booking
from engine.cli.booking_rows import owned_booking
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named
from engine.cli.options import BookingIdArgument
from engine.cli.output import Json, show_one
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.explanation import Explanation
from engine.domain.number_plan import caller_of, is_caller
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import Policy
from engine.domain.times import Timestamp
from engine.domain.trunks import typed_plan
from engine.storage.database import clock_of
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    booking_id: BookingIdArgument,
    source: Annotated[
        str, typer.Option(help="The caller's number; without it, a caller who withholds the number.")
    ] = ANONYMOUS,
    as_json: Json = False,
) -> None:
    """Say whether a call to a booking would be put through now, for how long, and why or why not."""
    if not is_caller(source):
        raise InvalidInput(["--source must be a telephone number, such as +3225551234, or anonymous"])
    settings = Settings()
    booking_id = booking_named(settings, booking_id)
    policy = policy_of(settings, secrets.load(settings.data_dir / "secrets").key_pepper)
    caller = caller_of(source, typed_plan(policy.trunks))
    explanation = run_command(settings, _explain, booking_id, caller, clock_of(settings.books).timestamp(), policy)
    show_one(ExplanationBody.of(explanation, policy).model_dump(mode="json"), as_json=as_json)


def _explain(tx: Transaction, booking_id: str, source: str, at: Timestamp, policy: Policy) -> Explanation:
    booking = owned_booking(tx, booking_id).booking
    at = tx.sandboxes.timestamp(booking.account_id, at)
    return explain_booking(tx, booking.account_id, booking.id, source, at, policy)
