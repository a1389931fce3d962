"""How commands print: tables for people, JSON for programs, messages on standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from engine.domain.times import EpochMs, rfc3339

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Into a file or a pipe, lines are not folded.
WIDTH_ELSEWHERE = 1_000

console = Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)

T = TypeVar("T")


def complain(text: str) -> None:
    """Prints a message on standard error."""
    sys.stderr.write(f"rented-numbers: {text}\n")


def show(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Prints a list of flat records that all have the same keys."""
    if as_json:
        sys.stdout.write(json.dumps(list(rows), indent=2) + "\n")
        return
    table = table_of(rows)
    if _width_of(table) <= console.width:
        console.print(table)
        return
    # An id or a number must never be cut off: on a narrow terminal the records stand one below the other.
    for index, row in enumerate(rows):
        if index:
            console.print()
        show_one(row, as_json=False)


def table_of(rows: Sequence[dict[str, Any]], empty: str = "nothing found") -> Table:
    """Returns a table of flat records that all have the same keys; `empty` is its heading where there are none."""
    table = Table()
    for index, name in enumerate(rows[0] if rows else [empty]):
        # The first column is an id or a number, which people copy.
        table.add_column(name, no_wrap=index == 0, overflow="fold")
    for row in rows:
        # As `Text`: a customer's label is not markup.
        table.add_row(*("" if value is None else Text(str(value)) for value in row.values()))
    return table


def _width_of(table: Table) -> int:
    """Returns the width at which every row fits on one line."""
    return Measurement.get(console, console.options.update(width=WIDTH_ELSEWHERE), table).maximum


def show_one(record: dict[str, Any], *, as_json: bool) -> None:
    """Prints one flat record, a line for each field."""
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
        return
    width = max(15, *map(len, record))
    for key, value in record.items():
        shown = Text(f"{key:>{width}}  {'' if value is None else value}")
        console.print(shown, highlight=False, soft_wrap=True)


@contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """Ends the output quietly when its reader closes the pipe, as `head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Without this, Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def with_times(record: dict[str, Any], **instants: int | None) -> dict[str, Any]:
    """Returns a record with instants in epoch milliseconds, which are shown as RFC 3339."""
    return record | {name: None if instant is None else rfc3339(EpochMs(instant)) for name, instant in instants.items()}


@contextmanager
def progress(things: Sequence[T], what: str, *, wanted: bool) -> Iterator[Iterable[T]]:
    """Yields `things`, and shows a progress bar on a terminal while they are iterated over."""
    errors = Console(stderr=True)
    if not (wanted and errors.is_terminal):
        yield things
        return
    from rich.progress import Progress  # noqa: PLC0415  slow to import, and few commands show progress

    with Progress(console=errors, transient=True) as bar:
        yield bar.track(things, description=what)


@contextmanager
def counted(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """Yields what adds to a progress bar of `total`, which is shown on a terminal."""
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress  # noqa: PLC0415  as above

    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
