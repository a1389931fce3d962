"""With a million bookings and ten million call records: how it starts, and what it loses.

MILLION="BOOKINGS CALLS_EACH" for other sizes.
"""

import os
import time
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console

from bench import servers, workload
from bench.compare import Contender, Line, Terms, compare, silent_receiver
from bench.house import House, furnish
from bench.load import Load
from bench.native import built
from phones.ports import free_port

BOOKINGS, CALLS_EACH = map(int, os.environ.get("MILLION", "1000000 10").split())
FEW_BOOKINGS = 5_000
TERMS = Terms(5, 4_000, {})
PAGES = 20
out = Console(width=120, highlight=False)


def million(directory: Path) -> None:
    generator = built("generator", directory)
    with silent_receiver() as callback:
        began = time.monotonic()
        full = furnish(directory / "full", (free_port(), free_port()), callback, held=BOOKINGS, calls_each=CALLS_EACH)
        size = full.settings.database.stat().st_size / 1e9
        out.print(
            f"{BOOKINGS:,} bookings and {BOOKINGS * CALLS_EACH:,} call records written in "
            f"{time.monotonic() - began:.0f} s: {size:.1f} GB"
        )
        empty = furnish(directory / "empty", (free_port(), free_port()), callback, held=FEW_BOOKINGS)
        with (
            servers.engine(full, directory / "full.log") as first,
            servers.engine(empty, directory / "empty.log") as second,
        ):
            out.print(f"start to first answer: {first.started:.2f} s full, {second.started:.2f} s empty")
            both = {
                "full": _contender(first, full, generator, directory),
                "empty": _contender(second, empty, generator, directory),
            }
            runs = compare(both, TERMS, out.print, 64)
            pages = _first_pages(full)
    with_many, with_few = (Line.of(runs[name]) for name in ("full", "empty"))
    out.print(f"calls/s {with_many.rate:.0f} : {with_few.rate:.0f} = {with_many.rate / with_few.rate:.2f}")
    out.print(f"CPU µs a call {with_many.cpu:.0f} : {with_few.cpu:.0f} = {with_many.cpu / with_few.cpu:.2f}")
    out.print(f"route p99 {with_many.p99:.0f} : {with_few.p99:.0f} µs = {with_many.p99 / with_few.p99:.2f}")
    out.print(f"first page of /cdr: median {pages[len(pages) // 2]:.1f} ms, longest {pages[-1]:.1f} ms")


def _contender(server: servers.Server, house: House, generator: Path, directory: Path) -> Contender:
    calls_file = directory / f"{house.settings.data_dir.name}.calls"
    calls = TERMS.rounds * TERMS.calls + 1_000
    workload.write(calls_file, house.services, house.bookings, calls, house.token, run=1)
    return Contender(server, Load(generator, calls_file))


def _first_pages(house: House) -> list[float]:
    """Milliseconds, ascending."""
    took = []
    connection = HTTPConnection("127.0.0.1", house.settings.http_port, timeout=30)
    for _ in range(PAGES):
        began = time.monotonic()
        connection.request("GET", "/cdr?limit=100", headers={"Authorization": f"Bearer {house.key}"})
        answer = connection.getresponse()
        answer.read()
        took.append((time.monotonic() - began) * 1000)
        assert answer.status == 200
    connection.close()
    return sorted(took)
