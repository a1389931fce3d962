"""`report`: what calls used and plans cost within a month, by account and number."""

import asyncio
import csv
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.cdr.report import ReportLine, report_lines
from engine.cli.database import run_command
from engine.cli.options import AccountFilter
from engine.cli.output import Json, complain, ending_with_its_reader, show
from engine.config.policy import retention_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.money import Money, as_text, summed
from engine.domain.times import DAY_MS, EpochMs, Span, month_from
from engine.domain.wording import counted
from engine.privacy.retention import SANDBOX_RECORDS_MS
from engine.runtime.clock import SystemClock
from engine.storage.operator_reads import CallSums, OperatorReads
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False)

COLUMNS = ("accountId", "account", "number", "calls", "answeredCalls", "seconds", "cost")


@app.command()
def report(
    month: Annotated[str, typer.Option(help="The month, in UTC, such as 2026-11.")],
    account: AccountFilter = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    as_json: Json = False,
) -> None:
    """Sum up a month, by account and rented number: calls, answered calls, charged seconds, cost of the plans.

    A call belongs to the month in which it came in. A number that two accounts had within the month has a line for
    each. Closed accounts are included. The seconds are those of the call records, which the ledger explains. The cost
    is the price of each plan that was booked or renewed within the month, at that time.
    """
    span, settings = month_from(month), Settings()
    problems = [] if span else ["--month must be a month, such as 2026-11"]
    problems += ["give either --csv or --json"] if as_csv and as_json else []
    if span is None or problems:
        raise InvalidInput(problems)
    asked = run_command(settings, _asked, account, SystemClock().now(), retention_of(settings).records_ms)
    if span.since > asked.now:
        raise InvalidInput(["this month has not begun yet"])
    with ending_with_its_reader():
        total, cost = asyncio.run(_write(settings, asked.names, span, as_csv=as_csv, as_json=as_json))
        _comment(total, cost, span, asked)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to report on.

    Attributes:
        names: The names of the accounts, by their ids.
        now: The present time, by their clock.
        kept_ms: How long their call records are kept.
        because: What decides that, for the message.
    """

    names: dict[AccountId, str]
    now: EpochMs
    kept_ms: int
    because: str = " (cdr_retention)"


def _asked(tx: Transaction, account: str | None, now: EpochMs, kept_ms: int) -> _Asked:
    """Returns one account or all customers' own. A sandbox has its own clock, and its records are deleted earlier."""
    if account is None:
        return _Asked({row["id"]: row["name"] for row in tx.accounts.all() if row["test_of"] is None}, now, kept_ms)
    found = account_of(tx, account)
    if found.test_of is not None and kept_ms > SANDBOX_RECORDS_MS:
        return _Asked({found.id: found.name}, tx.sandboxes.now(found.id, now), SANDBOX_RECORDS_MS, ", in a sandbox")
    return _Asked({found.id: found.name}, tx.sandboxes.now(found.id, now), kept_ms)


def _comment(total: CallSums, cost: tuple[Money, ...], span: Span, asked: _Asked) -> None:
    """Says on standard error what the lines add up to, and what is missing in them."""
    complain(f"{counted(total.calls, 'call')}, {total.answered} of them answered, {counted(total.seconds, 'second')}")
    if cost:
        complain(f"plans that were booked or renewed: {as_text(cost)}")
    if span.until > asked.now:
        complain("the month is not over yet, and calls that are still up are not included")
    if span.since < asked.now - asked.kept_ms:
        complain(f"incomplete: call records are deleted after {counted(asked.kept_ms // DAY_MS, 'day')}{asked.because}")


async def _write(
    settings: Settings, names: dict[AccountId, str], month: Span, *, as_csv: bool, as_json: bool
) -> tuple[CallSums, tuple[Money, ...]]:
    """Prints the report, and returns the sums of all lines. CSV and JSON are printed line by line."""
    total, cost, table = CallSums(), tuple[Money, ...](), list[dict[str, Any]]()
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    if as_csv:
        writer.writeheader()
    elif as_json:
        sys.stdout.write("[")
    separator = "\n"
    async with aclosing(_records(settings, names, month)) as records:
        async for line, record in records:
            total += line.sums
            cost = summed((*cost, *line.cost))
            if as_csv:
                writer.writerow(record | {"account": _not_a_formula(record["account"]), "cost": as_text(line.cost)})
            elif as_json:
                amounts = {"cost": [asdict(each) for each in line.cost]}
                sys.stdout.write(f"{separator}  {json.dumps(record | amounts)}")
                separator = ",\n"
            else:
                table.append(record | {"cost": as_text(line.cost)})
    if as_json:
        sys.stdout.write("\n]\n")
    elif not as_csv:
        show(table, as_json=False)
    return total, cost


def _not_a_formula(name: str) -> str:
    """Returns a name that a spreadsheet does not read as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


async def _records(
    settings: Settings, names: dict[AccountId, str], month: Span
) -> AsyncGenerator[tuple[ReportLine, dict[str, Any]], None]:
    async with OperatorReads(settings.books) as reads:
        async for line in report_lines(reads, names, month):
            sums = line.sums
            values = (line.account_id, names[line.account_id], line.number, sums.calls, sums.answered, sums.seconds)
            yield line, dict(zip(COLUMNS[:-1], values, strict=True))
