"""How pages write values: instants, durations, counts, times within sentences, and the cells of tables."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from engine.domain.money import Money, as_text
from engine.domain.times import RFC3339
from engine.domain.wording import counted

_CELL = re.compile("<td")
_EMPTY = re.compile(r"(<td[^>]*>)\s*(?=</td>)")
NOTHING = "\N{EN DASH}"


def instant(text: str | None, *, by_sandbox: bool = False) -> Markup:
    """Shows an RFC 3339 instant without its fraction; the page says that times are UTC.

    Args:
        text: The instant; a dash stands for None.
        by_sandbox: Whether it is by a sandbox's own clock, and not by the machine's.
    """
    if text is None:
        return Markup("&ndash;")
    shown = Markup('<time datetime="{}">{} {}</time>').format(text, text[:10], text[11:19])
    return shown + Markup(" <small>sandbox clock</small>") if by_sandbox else shown


def with_times(text: str) -> Markup:
    """Shows a sentence, with each RFC 3339 instant in it as `instant` shows it."""
    shown, begin = Markup(), 0
    for found in RFC3339.finditer(text):
        shown += escape(text[begin : found.start()]) + instant(found[0])
        begin = found.end()
    return shown + text[begin:]


def duration(seconds: int | None) -> str:
    """Shows seconds as minutes or hours with two digits behind them."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def money(amounts: Sequence[Mapping[str, Any]]) -> str:
    """Shows amounts of money, as the API answers them; nothing where there is none."""
    return as_text(Money(each["amount"], each["currency"]) for each in amounts)


def cells(row: str, columns: Sequence[str]) -> Markup:
    """Adds to each cell of a row the name of its column, which narrow screens show in front of the value.

    There a row is no row of a table any more but a list, so that its cells need their roles, too. A dash stands in
    cells that would be empty.
    """
    names = iter(columns)
    named = _CELL.sub(lambda _: f'<td role="cell" data-label="{escape(next(names))}"', row)
    return Markup(_EMPTY.sub(rf"\1{NOTHING}", named))  # noqa: S704  what a template or `row_of` made is escaped


FILTERS: Mapping[str, Callable[..., Any]] = {
    "instant": instant,
    "with_times": with_times,
    "duration": duration,
    "counted": counted,
    "money": money,
    "cells": cells,
}
