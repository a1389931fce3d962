"""`cdr …`: call records of one account or of all, read in batches, also while an engine runs."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from api.schemas.cdrs import CdrBody
from api.schemas.fields import BOOKING_ID
from engine.cdr.listing import record_batches
from engine.cdr.master_csv import master_csv_with_accounts
from engine.cli.database import run_command
from engine.cli.given_numbers import booking_named, number_of
from engine.cli.options import AccountFilter, BookingFilter, ServiceFilter
from engine.cli.output import Json, complain, ending_with_its_reader, show, show_one
from engine.cli.record_search import accounts_wanted, newest_records
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.dispositions import Disposition
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId
from engine.domain.masking import shown_caller
from engine.domain.number_plan import caller_of, is_caller
from engine.domain.times import NO_INSTANT, EpochMs, instant_from, rfc3339
from engine.domain.trunks import typed_plan
from engine.storage.cdrs import CallRecord, Cdr, WantedRecords
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.reads import Reads

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Call records.")

BATCH = 500
MAX_SHOWN = 1_000
# With more columns a table would be too wide for a terminal.
IN_TABLE = ("id", "timestamp", "duration", "source", "service", "disposition", "sipCode", "trunk")


class Format(StrEnum):
    """How call records are exported."""

    CSV = "csv"
    JSONL = "jsonl"


def json_lines(records: list[CallRecord]) -> str:
    """Returns the records as `GET /cdr.jsonl` writes them, with the fields that are for the operator only."""
    return "".join(
        f"{json.dumps(CdrBody.of(record.cdr).model_dump(mode='json') | _of_account(record.cdr))}\n"
        for record in records
    )


def _of_account(cdr: Cdr) -> dict[str, Any]:
    return {"accountId": cdr.account_id, **_for_operator(cdr)}


LINES: dict[Format, Callable[[list[CallRecord]], str]] = {
    Format.CSV: master_csv_with_accounts,
    Format.JSONL: json_lines,
}

From = Annotated[
    str | None, typer.Option("--from", help="Only calls that came in at this instant (RFC 3339) or later.")
]
To = Annotated[str | None, typer.Option("--to", help="Only calls that came in before this instant.")]
Source = Annotated[str | None, typer.Option(help="Only calls of this caller, or of `anonymous` callers.")]
Ended = Annotated[Disposition | None, typer.Option(case_sensitive=False, help="Only calls that ended like this.")]


@app.command("list")
def list_(
    account: AccountFilter = None,
    since: From = None,
    until: To = None,
    service: ServiceFilter = None,
    source: Source = None,
    disposition: Ended = None,
    booking: BookingFilter = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN, help="The most records to list.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest call records. Hidden numbers are not shown."""
    settings = Settings()
    wanted = _wanted(settings, account, since, until, service, source, disposition, booking)
    rows = [_shown(record.cdr) for record in newest_records(settings, *wanted, limit)]
    if not as_json:
        rows = [{name: row[name] for name in IN_TABLE} for row in rows]
    show(rows, as_json=as_json)


@app.command("show")
def show_(cdr_id: Annotated[str, typer.Argument(help="Id of the call record.")], as_json: Json = False) -> None:
    """Show one call record with all that is known of its end. The hidden number is not shown."""
    cdr = run_command(Settings(), lambda tx: tx.cdrs.by_id(cdr_id))
    if cdr is None:
        raise NotFound("there is no such call record: `cdr list` shows their ids")
    show_one(_shown(cdr), as_json=as_json)


@app.command("export")
def export(
    account: AccountFilter = None,
    since: From = None,
    until: To = None,
    service: ServiceFilter = None,
    source: Source = None,
    disposition: Ended = None,
    booking: BookingFilter = None,
    format_: Annotated[
        Format, typer.Option("--format", case_sensitive=False, help="Asterisk's Master.csv, or one JSON object a line.")
    ] = Format.CSV,
    output: Annotated[Path | None, typer.Option(help="The file to write. Without it: standard output.")] = None,
) -> None:
    """Export all call records with their hidden numbers, newest first, one account after the other.

    The lines are those of `GET /cdr.csv` with Asterisk's `newcdrcolumns` at their ends, the account's id in the first
    of them; or those of `GET /cdr.jsonl`, with account, trunk and SIP Call-IDs.
    """
    settings = Settings()
    accounts, filtered = _wanted(settings, account, since, until, service, source, disposition, booking)
    wanted = [replace(filtered, account_id=each) for each in accounts]
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as file:
            written = asyncio.run(_write(settings, wanted, LINES[format_], file))
        complain(f"{written} call records written")
        return
    with ending_with_its_reader():
        asyncio.run(_write(settings, wanted, LINES[format_], sys.stdout))


def _wanted(
    settings: Settings,
    account: str | None,
    since: str | None,
    until: str | None,
    service: str | None,
    source: str | None,
    disposition: Disposition | None,
    booking: str | None,
) -> tuple[list[AccountId], WantedRecords]:
    """Returns the accounts, and the filter for each. Raises InvalidInput with everything that is wrong."""
    earliest, latest = _instant(since, EARLIEST), _instant(until, LATEST)
    problems = [
        f"{option} {NO_INSTANT}" for option, instant in (("--from", earliest), ("--to", latest)) if instant is None
    ]
    number = None if service is None else number_of(settings, service)
    if service is not None and number is None:
        problems.append("--service is not a telephone number")
    if source is not None and not is_caller(source):
        problems.append("--source is neither a telephone number nor `anonymous`")
    if booking is not None and not BOOKING_ID.fullmatch(booking) and number_of(settings, booking) is None:
        problems.append("--booking is neither the id of a booking nor a rented number")
    if earliest is None or latest is None or problems:
        raise InvalidInput(problems)
    caller = None if source is None else caller_of(source, typed_plan(policy_of(settings).trunks))
    booking_id = None if booking is None else booking_named(settings, booking)
    wanted = WantedRecords(AccountId(""), earliest, latest, booking_id, number, caller, disposition)
    return accounts_wanted(settings, account), wanted


def _instant(text: str | None, otherwise: EpochMs) -> EpochMs | None:
    return otherwise if text is None else instant_from(text)


async def _write(
    settings: Settings, wanted: list[WantedRecords], lines_of: Callable[[list[CallRecord]], str], file: TextIO
) -> int:
    """Writes all records, and returns how many there were."""
    written = 0
    # Closed here, also when the reader of a pipe has gone: what is left to the end of the event loop may be cancelled
    # halfway, and then the connections' threads would keep the program up.
    async with aclosing(_all(settings, wanted)) as batches:
        async for batch in batches:
            file.write(lines_of(batch))
            written += len(batch)
    return written


async def _all(settings: Settings, wanted: list[WantedRecords]) -> AsyncGenerator[list[CallRecord], None]:
    async with Reads(settings.books) as reads:
        for each in wanted:
            async for batch in record_batches(reads, each, BATCH):
                yield batch


def _shown(cdr: Cdr) -> dict[str, Any]:
    return {
        "id": cdr.id,
        "timestamp": rfc3339(cdr.started_at),
        "duration": cdr.duration,
        "source": shown_caller(cdr.source, cdr.direction),
        "service": cdr.service,
        "disposition": cdr.disposition.value,
        "bookingId": cdr.booking_id,
        "accountId": cdr.account_id,
        "callId": cdr.call_id,
        "hungUpBy": cdr.end.hung_up_by,
        "sipCode": cdr.end.sip_code,
        "hangupCause": cdr.end.cause,
        "furtherCalls": cdr.further_calls,
        "direction": cdr.direction.value,
        **_for_operator(cdr),
    }


def _for_operator(cdr: Cdr) -> dict[str, Any]:
    """Returns what customers do not see: trunks are named after carriers, a SIP Call-ID can show where a caller is."""
    return {"trunk": cdr.end.trunk, "sipCallId": cdr.sip_call_id, "calleeSipCallId": cdr.callee_sip_call_id}
