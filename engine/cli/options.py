"""Arguments and options that several commands share, and how a shell completes them."""

from typing import Annotated

import typer

from engine.cli.completion import complete_accounts, complete_services
from engine.domain.errors import InvalidInput
from engine.domain.policy import UsagePlan
from engine.domain.times import NO_INSTANT, EpochMs, instant_from

# `make run` sets this; commands that check a callback URL read it.
DEMO_PROFILE = "RENTED_NUMBERS_PROFILE=demo"

BookingIdArgument = Annotated[
    str,
    typer.Argument(help="Id of the booking, or the rented number that it holds now.", autocompletion=complete_services),
]
AccountArgument = Annotated[str, typer.Argument(help="Id or name of the account.", autocompletion=complete_accounts)]
AccountOption = Annotated[str, typer.Option(help="Id or name of the account.", autocompletion=complete_accounts)]
# Of calls, for commands that show those of all accounts.
AccountFilter = Annotated[
    str | None,
    typer.Option(
        help="Id or name of the account. Without it: all accounts but sandboxes.", autocompletion=complete_accounts
    ),
]
ServiceFilter = Annotated[
    str | None, typer.Option(help="Only calls to this rented number.", autocompletion=complete_services)
]
BookingFilter = Annotated[
    str | None,
    typer.Option(
        help="Only calls to the booking with this id, or that holds this rented number now.",
        autocompletion=complete_services,
    ),
]
PlanOption = Annotated[UsagePlan, typer.Option(case_sensitive=False, help="The usage plan.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def instant_given(text: str) -> EpochMs:
    """Returns the instant that an option names. Raises InvalidInput."""
    instant = instant_from(text)
    if instant is None:
        raise InvalidInput([f"{text!r} {NO_INSTANT}"])
    return instant
