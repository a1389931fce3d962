"""How pages write counts, times and cells."""

from typing import Any

import pytest
from markupsafe import Markup

from api.web.frame.filters import cells, duration, instant, money, with_times
from engine.domain.wording import counted

AT = "2026-03-01T12:00:00.250Z"
SHOWN = f'<time datetime="{AT}">2026-03-01 12:00:00</time>'
WRITTEN: list[tuple[Any, str]] = [
    (counted(0, "call"), "0 calls"),
    (counted(1, "call"), "1 call"),
    (counted(2, "key"), "2 keys"),
    (money([]), ""),
    (money([{"amount": 990, "currency": "EUR"}, {"amount": 3, "currency": "JPY"}]), "9.90 EUR + 3 JPY"),
    (counted(1, "discrepancy"), "1 discrepancy"),
    (counted(3, "discrepancy"), "3 discrepancies"),
    (duration(59), "0:59"),
    (duration(3_661), "1:01:01"),
    (duration(None), "\N{EN DASH}"),
    (instant(None), "&ndash;"),
    (instant(AT), SHOWN),
    (instant(AT, by_sandbox=True), f"{SHOWN} <small>sandbox clock</small>"),
    (with_times(f"<b> ended at {AT}; a"), f"&lt;b&gt; ended at {SHOWN}; a"),
    (with_times("no time"), "no time"),
    (
        cells(Markup('<td>a</td><td class="x">&lt;td&gt;</td>'), ["A", "B & C"]),
        '<td role="cell" data-label="A">a</td><td role="cell" data-label="B &amp; C" class="x">&lt;td&gt;</td>',
    ),
    (cells(Markup("<td> </td>"), ["A"]), '<td role="cell" data-label="A">\N{EN DASH}</td>'),
]


@pytest.mark.parametrize(("written", "wanted"), WRITTEN)
def test_a_value_is_written_in_one_way(written: Any, wanted: str) -> None:
    assert str(written) == wanted
