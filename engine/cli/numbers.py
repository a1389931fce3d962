"""`numbers …`: the pool of numbers to rent."""

import asyncio
import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from api.schemas.operator_rows import forecast_rows, number_row
from engine.bookings import number_pool, shared_numbers
from engine.bookings.pool_forecast import PoolForecast, pool_forecast, pool_forecasts
from engine.bookings.retirement import Retirement, count_matching, retire_listed, retire_next
from engine.cli.database import open_database, run_command
from engine.cli.given_numbers import number_of
from engine.cli.options import YesOption
from engine.cli.output import Json, progress, show, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.destinations import COUNTRIES
from engine.domain.errors import InvalidInput
from engine.domain.numbers import NumberState
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.wording import counted
from engine.runtime.clock import SystemClock
from engine.storage.numbers import Number
from engine.storage.operator_reads import OperatorReads
from engine.storage.reads import Reads
from engine.storage.transaction import Transaction

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The pool of numbers to rent.")

# Numbers that one transaction reads: some 50 ms.
PAGE = 5_000
MAX_BYTES = 64 * 1024 * 1024
HEADERS = {"number", "e164", "numbers"}

NumberArgument = Annotated[str, typer.Argument(help="The number: E.164, or as the carriers' country dials it.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file with one E.164 number a line, in the first column.")],
    as_json: Json = False,
) -> None:
    """Add the numbers of a CSV file, all or none. Bad lines are reported with their line numbers.

    A header (`number`, `e164` or `numbers`) and all columns but the first are ignored.
    """
    lines = list(read_lines(file))
    if not lines:
        raise InvalidInput([f"there is no number in {file}"])
    with progress(lines, f"Reading {file.name}", wanted=not as_json) as watched:
        read = number_pool.read_numbers(watched)
    try:
        added = run_command(Settings(), number_pool.add_numbers, read, SystemClock().now())
    except InvalidInput as error:
        raise InvalidInput([*error.problems, "nothing was imported"]) from error
    show_one({"added": added}, as_json=as_json)


@app.command("list")
def list_(
    state: Annotated[NumberState | None, typer.Option(case_sensitive=False, help="Only numbers in this state.")] = None,
    country: Annotated[str | None, typer.Option(help="Only numbers of this country (ISO 3166), such as BE.")] = None,
    as_json: Json = False,
) -> None:
    """List all numbers with their state."""
    show(_all_numbers(Settings(), state, _checked_country(country)), as_json=as_json)


@app.command()
def forecast(as_json: Json = False) -> None:
    """Show how many numbers will be free, if as many are booked a day as in the last week.

    `returned` is how many numbers leave quarantine until then. The last line looks ahead by the length of a quarantine.
    """
    settings = Settings()
    open_database(settings)
    quarantine_ms = policy_of(settings).quarantine_ms
    expected = asyncio.run(_forecast(settings, quarantine_ms))
    show(forecast_rows(expected), as_json=as_json)


@app.command()
def quarantine(
    number: NumberArgument,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="For how many days; without it, as long as after a booking.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep a free number out of use for a time. A quarantine that is longer already is not shortened."""
    settings = Settings()
    rest_ms = policy_of(settings).quarantine_ms if days is None else days * DAY_MS
    until = SystemClock().now() + rest_ms
    wanted = number_of(settings, number) or number
    show_one(number_row(run_command(settings, number_pool.quarantine, wanted, EpochMs(until))), as_json=as_json)


@app.command()
def share(number: NumberArgument, as_json: Json = False) -> None:
    """Let pairs share a free number: as many as have different callers. No other booking gets it.

    First upgrade all engines that use the database: one of an older version knows no pairs.
    """
    settings = Settings()
    wanted = number_of(settings, number) or number
    show_one(number_row(run_command(settings, shared_numbers.share, wanted)), as_json=as_json)


@app.command()
def unshare(number: NumberArgument, as_json: Json = False) -> None:
    """Take back a shared number that no pair holds. It is in quarantine for as long as one of its last callers is."""
    settings = Settings()
    wanted, now = number_of(settings, number) or number, SystemClock().now()
    show_one(number_row(run_command(settings, shared_numbers.unshare, wanted, now)), as_json=as_json)


@app.command()
def summary(as_json: Json = False) -> None:
    """Count the numbers of each country by their state, and say for how many days its free numbers last.

    `daysLeft` goes by the bookings of the last week, as `forecast` does; it is empty where numbers do not run out.
    """
    settings = Settings()
    open_database(settings)
    show(asyncio.run(_summary(settings, policy_of(settings).quarantine_ms)), as_json=as_json)


@app.command()
def retire(
    number: Annotated[
        str | None, typer.Argument(help="The number. Without it: give --file, --prefix or --country.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A CSV file as `import` reads it, or - for standard input: all of its numbers, or none."),
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="All numbers that begin so, such as +3225.")] = None,
    country: Annotated[str | None, typer.Option(help="All numbers of this country (ISO 3166), such as BE.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")] = False,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Take numbers out of the pool until `numbers restore`. Bookings may then hide them like any other number.

    One number is retired at once. Many are counted first, and the command asks. Booked numbers stay: in a file they are
    an error, with a prefix or a country they are counted. If the command is interrupted, repeat it.
    """
    settings = Settings()
    ways = [number is not None, file is not None, prefix is not None or country is not None]
    if number is not None:
        number = number_of(settings, number) or number
    if sum(ways) != 1:
        raise InvalidInput(["give a number, or --file, or --prefix and --country, or one of these two"])
    if str(file) == "-" and not (yes or dry_run):
        raise InvalidInput(["with --file - give --yes or --dry-run: standard input cannot answer the question as well"])
    if number is not None and not dry_run:
        show_one(number_row(run_command(settings, number_pool.retire, number)), as_json=as_json)
        return
    chosen = _retirement(settings, number, file, prefix, country)
    found = chosen(dry_run=True)
    if not dry_run and found.retired:
        stay = f" {found.booked} booked ones stay." if found.booked else ""
        if not yes:
            typer.confirm(f"Retire {counted(found.retired, 'number')}?{stay}", abort=True, err=True)
        found = chosen(dry_run=False)
    counts = {"retired": found.retired, "alreadyRetired": found.already_retired, "booked": found.booked}
    show_one(counts | {"dryRun": dry_run}, as_json=as_json)


@app.command()
def restore(number: NumberArgument, as_json: Json = False) -> None:
    """Bring a retired number back into the pool. The rest of its quarantine still applies."""
    settings = Settings()
    wanted = number_of(settings, number) or number
    show_one(number_row(run_command(settings, number_pool.restore, wanted)), as_json=as_json)


def _retirement(
    settings: Settings, number: str | None, file: Path | None, prefix: str | None, country: str | None
) -> Callable[..., Retirement]:
    """Returns the command that retires the chosen numbers, or counts them."""
    if prefix is not None or country is not None:
        return partial(_retire_matching, settings, prefix, _checked_country(country))
    lines = read_lines(file) if file is not None else [(1, str(number))]
    return partial(run_command, settings, retire_listed, number_pool.read_numbers(lines))


def _retire_matching(settings: Settings, prefix: str | None, country: str | None, *, dry_run: bool) -> Retirement:
    """Retires numbers some at a time: while a transaction is open, all calls wait for it."""
    found = run_command(settings, count_matching, prefix, country)
    if dry_run:
        return found
    retired, after = 0, ""
    while some := run_command(settings, retire_next, prefix, country, after):
        retired, after = retired + len(some), some[-1]
    return replace(found, retired=retired)


async def _forecast(settings: Settings, quarantine_ms: int) -> PoolForecast:
    async with Reads(settings.books) as reads:
        return await pool_forecast(reads, SystemClock().now(), quarantine_ms)


async def _summary(settings: Settings, quarantine_ms: int) -> list[dict[str, Any]]:
    async with OperatorReads(settings.books) as reads:
        counts = await reads.numbers_by_country()
        forecasts = await pool_forecasts(reads, SystemClock().now(), quarantine_ms)
        of_all = await pool_forecast(reads, SystemClock().now(), quarantine_ms)
    rows = [
        _summary_row(country or "none", counts[country], forecasts.get(country))
        for country in sorted(counts, key=lambda each: each or "")
    ]
    total = sum((Counter(each) for each in counts.values()), Counter[str]())
    return [*rows, _summary_row("all", total, of_all)]


def _summary_row(country: str, counts: Mapping[str, int], expected: PoolForecast | None) -> dict[str, Any]:
    return {
        "country": country,
        **{state.value.lower(): counts.get(state, 0) for state in NumberState},
        "bookedLastWeek": 0 if expected is None else expected.taken,
        "daysLeft": None if expected is None else expected.days_left,
    }


def _checked_country(country: str | None) -> str | None:
    """Returns the country in capitals. Raises InvalidInput."""
    if country is not None and country.upper() not in COUNTRIES:
        raise InvalidInput([f"{country[:40]!r} is not a country with telephone numbers; give two letters, such as BE"])
    return country and country.upper()


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yields (line number, first column) of every line that is not empty, without the header.

    Args:
        file: The file; `-`: standard input.

    Raises:
        InvalidInput: It is too large, or not a CSV file in UTF-8.
    """
    is_input = str(file) == "-"
    name = "standard input" if is_input else str(file)
    with nullcontext(sys.stdin.buffer) if is_input else file.open("rb") as source:
        content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InvalidInput([f"{name} is larger than {MAX_BYTES >> 20} MB"])
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        for row in reader:
            first = row[0].strip() if row else ""
            if first and not (reader.line_num == 1 and first.lower() in HEADERS):
                yield reader.line_num, first
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput([f"{name} is not a CSV file in UTF-8: {error}"]) from error


def _all_numbers(settings: Settings, state: str | None, country: str | None) -> list[dict[str, Any]]:
    """Reads the pool a page at a time: while a transaction is open, all calls wait for it."""
    rows: list[dict[str, Any]] = []
    after = ""
    while page := run_command(settings, _page_after, after, state, country):
        after = page[-1].e164
        rows += map(number_row, page)
    return rows


def _page_after(tx: Transaction, after: str, state: str | None, country: str | None) -> list[Number]:
    return tx.numbers.page(after, state, PAGE, country=country)
