"""`bookings top`: the bookings with the most calls or seconds of the last hours."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.cli.database import open_database, run_command
from engine.cli.output import Json, show
from engine.config.settings import Settings
from engine.domain.ids import AccountId
from engine.domain.times import HOUR_MS, EpochMs
from engine.runtime.clock import SystemClock
from engine.storage.operator_reads import OperatorReads

app = typer.Typer(add_completion=False)

MAX_HOURS = 31 * 24
MAX_LISTED = 1000


class By(StrEnum):
    """What bookings are ordered by."""

    CALLS = "calls"
    SECONDS = "seconds"


@app.command()
def top(
    by: Annotated[By, typer.Option(case_sensitive=False, help="What to order by.")] = By.CALLS,
    hours: Annotated[int, typer.Option(min=1, max=MAX_HOURS, help="Calls that came in within so many hours.")] = 24,
    account: Annotated[
        str | None, typer.Option(help="Id or name: only that account's. Without it: all accounts but sandboxes.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="The most bookings to list.")] = 10,
    as_json: Json = False,
) -> None:
    """List the bookings with the most calls, or the most charged seconds, of the last hours.

    Refused calls count as calls. Calls that are still up are not included.
    """
    settings = Settings()
    open_database(settings)
    account_id = None if account is None else run_command(settings, account_of, account).id
    since = EpochMs(SystemClock().now() - hours * HOUR_MS)
    show(asyncio.run(_top(settings, account_id, since, limit, by)), as_json=as_json)


async def _top(
    settings: Settings, account_id: AccountId | None, since: EpochMs, limit: int, by: By
) -> list[dict[str, Any]]:
    async with OperatorReads(settings.books) as reads:
        busiest = await reads.busiest_bookings(account_id, since, limit, by_seconds=by is By.SECONDS)
    return [
        {
            "id": each.booking_id,
            "account": each.account,
            "service": each.service,
            "calls": each.sums.calls,
            "answeredCalls": each.sums.answered,
            "seconds": each.sums.seconds,
        }
        for each in busiest
    ]
