"""`cdr …`: call records of one account, or of all. Read beside a running engine, a batch at a time."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from api.resources.exports import json_lines
from api.schemas.fields import BOOKING_ID
from engine.accounts.accounts import account_of
from engine.cdr.listing import position_of, record_batches
from engine.cdr.master_csv import master_csv
from engine.cli.database import run_command
from engine.cli.output import Json, complain, show
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.ids import BookingId
from engine.domain.numbers import E164, caller_of, is_caller, is_e164
from engine.domain.routing import Disposition
from engine.domain.times import NO_INSTANT, EpochMs, instant_from, rfc3339
from engine.storage.cdrs import CallRecord, WantedRecords
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.reads import Reads

app = typer.Typer(no_args_is_help=True, help="Call records.")

BATCH = 500
MAX_SHOWN = 1_000


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


LINES: dict[Format, Callable[[list[CallRecord]], str]] = {Format.CSV: master_csv, Format.JSONL: json_lines}

Account = Annotated[str | None, typer.Option(help="Id or name of the account. Left out: all accounts but test worlds.")]
From = Annotated[str | None, typer.Option("--from", help="Calls that came in at this instant (RFC 3339) or later.")]
To = Annotated[str | None, typer.Option("--to", help="Calls that came in before this instant.")]
Service = Annotated[str | None, typer.Option(help="Calls to this rented number.")]
Source = Annotated[str | None, typer.Option(help="Calls of this caller, or of `anonymous` ones.")]
Ended = Annotated[Disposition | None, typer.Option(case_sensitive=False, help="Calls that ended so.")]
Booking = Annotated[str | None, typer.Option(help="Calls to the booking of this id.")]


@app.command("list")
def list_(
    account: Account = None,
    since: From = None,
    until: To = None,
    service: Service = None,
    source: Source = None,
    disposition: Ended = None,
    booking: Booking = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest call records. The hidden number is not shown."""
    settings = Settings()
    wanted = _wanted(settings, account, since, until, service, source, disposition, booking)
    rows = [_shown(record) for record in asyncio.run(_newest(settings, wanted, limit))]
    if not as_json:  # so wide that a terminal would leave little of any column
        rows = [{name: row[name] for name in row if name not in {"bookingId", "accountId"}} for row in rows]
    show(rows, as_json=as_json)


@app.command("export")
def export(
    account: Account = None,
    since: From = None,
    until: To = None,
    service: Service = None,
    source: Source = None,
    disposition: Ended = None,
    booking: Booking = None,
    format_: Annotated[
        Format, typer.Option("--format", case_sensitive=False, help="Asterisk's Master.csv, or JSON lines.")
    ] = Format.CSV,
    output: Annotated[Path | None, typer.Option(help="The file to write. Left out: standard output.")] = None,
) -> None:
    """All call records, with their hidden numbers, newest first; of several accounts one after the other.

    They are those of `GET /cdr.csv` and `GET /cdr.jsonl`.
    """
    settings = Settings()
    wanted = _wanted(settings, account, since, until, service, source, disposition, booking)
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as file:
            written = asyncio.run(_write(settings, wanted, LINES[format_], file))
        complain(f"{written} call records written")
        return
    try:
        asyncio.run(_write(settings, wanted, LINES[format_], sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has had enough, as `head` does. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wanted(
    settings: Settings,
    account: str | None,
    since: str | None,
    until: str | None,
    service: str | None,
    source: str | None,
    disposition: Disposition | None,
    booking: str | None,
) -> list[WantedRecords]:
    """Of each account. Raises InvalidInput with all that is wrong."""
    earliest, latest = _instant(since, EARLIEST), _instant(until, LATEST)
    problems = [
        f"{option} {NO_INSTANT}" for option, instant in (("--from", earliest), ("--to", latest)) if instant is None
    ]
    if service is not None and not is_e164(service):
        problems.append("--service is not an E.164 number")
    if source is not None and not is_caller(source):
        problems.append("--source is neither a telephone number nor `anonymous`")
    if booking is not None and not BOOKING_ID.fullmatch(booking):
        problems.append("--booking is not the id of a booking")
    if earliest is None or latest is None or problems:
        raise InvalidInput(problems)
    if account is None:
        # Not of test worlds: nobody talked there, and they have clocks of their own.
        rows = run_command(settings, lambda tx: tx.accounts.all())
        accounts = [row["id"] for row in rows if row["test_of"] is None]
    else:
        accounts = [run_command(settings, account_of, account).id]
    caller = None if source is None else caller_of(source)
    booking_id = None if booking is None else BookingId(booking)
    number = None if service is None else E164(service)
    return [WantedRecords(each, earliest, latest, booking_id, number, caller, disposition) for each in accounts]


def _instant(text: str | None, otherwise: EpochMs) -> EpochMs | None:
    return otherwise if text is None else instant_from(text)


async def _newest(settings: Settings, wanted: list[WantedRecords], limit: int) -> list[CallRecord]:
    """Of all accounts together."""
    found: list[CallRecord] = []
    async with Reads(settings.database) as reads:
        for each in wanted:
            of_account = 0
            async for batch in record_batches(reads, each, limit):
                found += batch
                of_account += len(batch)
                if of_account >= limit:
                    break
            found = sorted(found, key=position_of, reverse=True)[:limit]
    return found


async def _write(
    settings: Settings, wanted: list[WantedRecords], lines_of: Callable[[list[CallRecord]], str], file: TextIO
) -> int:
    """How many were written."""
    written = 0
    async for batch in _all(settings, wanted):
        file.write(lines_of(batch))
        written += len(batch)
    return written


async def _all(settings: Settings, wanted: list[WantedRecords]) -> AsyncIterator[list[CallRecord]]:
    async with Reads(settings.database) as reads:
        for each in wanted:
            async for batch in record_batches(reads, each, BATCH):
                yield batch


def _shown(record: CallRecord) -> dict[str, Any]:
    cdr = record.cdr
    return {
        "id": cdr.id,
        "timestamp": rfc3339(cdr.started_at),
        "duration": cdr.duration,
        "source": cdr.source,
        "service": cdr.service,
        "disposition": cdr.disposition.value,
        "bookingId": cdr.booking_id,
        "accountId": cdr.account_id,
    }
