"""With a million bookings and ten million call records: how it starts, and what it loses."""

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

BOOKINGS, RECORDS = 1_000_000, 10_000_000
PAGES = 20
out = Console(width=120, highlight=False)


def million(directory: Path) -> None:
    generator = built("generator", directory)
    terms = Terms(5, 4_000, {})
    with silent_receiver() as callback:
        began = time.monotonic()
        full = furnish(directory / "full", (free_port(), free_port()), callback, held=BOOKINGS, records=RECORDS)
        out.print(f"{BOOKINGS:,} bookings and {RECORDS:,} call records written in {time.monotonic() - began:.0f} s")
        empty = furnish(directory / "empty", (free_port(), free_port()), callback, held=5_000)
        with (
            servers.engine(full, directory / "full.log") as first,
            servers.engine(empty, directory / "empty.log") as second,
        ):
            out.print(f"start to first answer: {first.started:.2f} s full, {second.started:.2f} s empty")
            both = {
                "full": _contender(first, full, generator, directory),
                "empty": _contender(second, empty, generator, directory),
            }
            runs = compare(both, terms, lambda _: None, 64)
            pages = _first_pages(full)
    with_many, with_few = (Line.of(runs[name]) for name in ("full", "empty"))
    out.print(f"calls/s {with_many.rate:.0f} : {with_few.rate:.0f} = {with_many.rate / with_few.rate:.2f}")
    out.print(f"route p99 {with_many.p99:.0f} : {with_few.p99:.0f} µs = {with_many.p99 / with_few.p99:.2f}")
    out.print(f"first page of /cdr: median {pages[len(pages) // 2]:.1f} ms, longest {pages[-1]:.1f} ms")


def _contender(server: servers.Server, house: House, generator: Path, directory: Path) -> Contender:
    calls_file = directory / f"{house.settings.data_dir.name}.calls"
    workload.write(calls_file, house.services, house.bookings, 25_000, house.token, run=1)
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
