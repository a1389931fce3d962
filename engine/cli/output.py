"""How commands speak: tables for people, JSON for programs, complaints on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Into a file or a program a line is as long as it is.
WIDTH_ELSEWHERE = 1_000

console = Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)

T = TypeVar("T")


def complain(text: str) -> None:
    sys.stderr.write(f"rented-numbers: {text}\n")


def show(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """A list of flat records, all with the same keys."""
    if as_json:
        sys.stdout.write(json.dumps(list(rows), indent=2) + "\n")
        return
    table = table_of(rows)
    if _width_of(table) <= console.width:
        console.print(table)
        return
    # Nothing of an id or a number may be cut off: on a narrow terminal the records stand one below the other.
    for place, row in enumerate(rows):
        if place:
            console.print()
        show_one(row, as_json=False)


def table_of(rows: Sequence[dict[str, Any]], empty: str = "nothing there") -> Table:
    """Of flat records, all with the same keys. As `Text`: what customers wrote is neither markup nor emoji."""
    table = Table()
    for place, name in enumerate(rows[0] if rows else [empty]):
        # The first is an id or a number, to be copied.
        table.add_column(name, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else Text(str(value)) for value in row.values()))
    return table


def _width_of(table: Table) -> int:
    """With every row on a line of its own."""
    return Measurement.get(console, console.options.update(width=WIDTH_ELSEWHERE), table).maximum


def show_one(record: dict[str, Any], *, as_json: bool) -> None:
    """One flat record."""
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
        return
    width = max(15, *map(len, record))
    for key, value in record.items():
        shown = Text(f"{key:>{width}}  {'' if value is None else value}")
        console.print(shown, highlight=False, soft_wrap=True)


@contextmanager
def progress(things: Sequence[T], what: str, *, wanted: bool) -> Iterator[Iterable[T]]:
    """`things`, while a bar says how many of them were taken; on a terminal only, and away when all is done."""
    errors = Console(stderr=True)
    if not (wanted and errors.is_terminal):
        yield things
        return
    with Progress(console=errors, transient=True) as bar:
        yield bar.track(things, description=what)
