"""Arguments and options that several commands share."""

from typing import Annotated

import typer

from engine.domain.policy import UsagePlan

# `make run` sets this; commands that check a callback URL read it.
DEMO_PROFILE = "RENTED_NUMBERS_PROFILE=demo"

BookingIdArgument = Annotated[str, typer.Argument(help="Id of the booking.")]
AccountArgument = Annotated[str, typer.Argument(help="Id or name of the account.")]
AccountOption = Annotated[str, typer.Option(help="Id or name of the account.")]
PlanOption = Annotated[UsagePlan, typer.Option(case_sensitive=False, help="The usage plan.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
