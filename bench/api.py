"""Measures an API request, compared with a bare aiohttp handler that does the same work on the same rows."""

import asyncio
import json
import random
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import servers
from bench.native import built
from bench.servers import GENERATOR_CORE, Server, on_cores
from bench.system import HIDDEN, BenchSystem, create_system
from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key
from engine.config import secrets
from engine.runtime.clock import SystemClock
from engine.storage.sqlite import SqliteStorage
from phones.ports import free_port

PRODUCT, BARE = "product", "bare"
ROUNDS = 5
# Requests of each kind in a round, by the number of connections.
REQUESTS = {1: 400, 32: 2_000}
WARM_UP = 200
BOOKINGS, CALLS_EACH = 5_000, 4
CUSTOMERS = 50
CALLBACK = "http://127.0.0.1:9/calls"
RUN_SECONDS = 300
out = Console(width=120, highlight=False)


@dataclass(frozen=True)
class Kind:
    """A kind of request, and the status that its answer must have."""

    name: str
    method: str
    path: str
    status: int
    body: str = ""

    def raw(self, key: str) -> bytes:
        """The bytes of the request, as a Python client sends it."""
        body = self.body.encode()
        head = [
            f"{self.method} {self.path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {key}",
            "Accept: */*",
            "User-Agent: bench",
            *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []),
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


KINDS = (
    Kind(
        "POST /bookings",
        "POST",
        "/bookings",
        201,
        json.dumps({"destination": HIDDEN, "usagePlan": "LARGE", "callback": CALLBACK}),
    ),
    Kind("GET /bookings, 20 of them", "GET", "/bookings?limit=20", 200),
    Kind("GET /cdr, 20 of them", "GET", "/cdr?limit=20", 200),
)


@dataclass(frozen=True)
class Run:
    """Figures of one run. Times are microseconds.

    Attributes:
        busy: The client's share of its core. Near 1 the client itself is the bottleneck.
    """

    rate: float
    cpu: float
    busy: float
    p50: float
    p99: float
    failed: int


@dataclass
class Contender:
    """A server with its database, and the client that sends requests to it.

    Attributes:
        keys: API keys of several customers. They book in turn, so that each has a few hundred bookings at most.
    """

    system: BenchSystem
    keys: list[str]
    server: Server
    client: Path
    directory: Path

    def ask(self, kind: Kind, requests: int, slots: int) -> Run:
        """Sends requests of one kind over `slots` connections. Raises CalledProcessError."""
        file = self.directory / "requests"
        several = [kind.raw(key) for key in (self.keys if kind.body else [self.system.key])]
        file.write_bytes(b"".join(struct.pack("<I", len(raw)) + raw for raw in several))
        used = self.server.cpu()
        done = subprocess.run(
            [
                *on_cores(GENERATOR_CORE),
                self.client,
                *map(str, (self.system.settings.http_port, file, requests, slots, kind.status)),
            ],
            check=True,
            stdout=subprocess.PIPE,
            timeout=RUN_SECONDS,
        )
        cpu = (self.server.cpu() - used) * 1e6 / requests
        report: dict[str, Any] = json.loads(done.stdout)
        return Run(requests / report["seconds"], cpu, report["busy"], report["p50"], report["p99"], report["failed"])

    def fields(self, kind: Kind) -> object:
        """The names of the fields in one answer, at every depth."""
        connection = HTTPConnection("127.0.0.1", self.system.settings.http_port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self.system.key}", "Content-Type": "application/json"}
            connection.request(kind.method, kind.path, kind.body or None, headers)
            answer = connection.getresponse()
            answer_body: object = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status == kind.status, answer_body
        return _shape(answer_body)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [len(value), _shape(value[0])] if isinstance(value, list) and value else None


@contextmanager
def _contenders(directory: Path) -> Iterator[dict[str, Contender]]:
    client = built("http_client", directory)
    free = sum(ROUNDS * requests + WARM_UP for requests in REQUESTS.values()) + 1_000
    systems = {
        name: create_system(
            directory / name, (free_port(), free_port()), CALLBACK, bookings=BOOKINGS, calls_each=CALLS_EACH, free=free
        )
        for name in (PRODUCT, BARE)
    }
    keys = {name: asyncio.run(_customers(system)) for name, system in systems.items()}
    pepper = secrets.load(systems[BARE].settings.data_dir / "secrets").key_pepper
    with (
        servers.engine(systems[PRODUCT], directory / "product.log") as product,
        servers.bare_api(systems[BARE], pepper, directory / "bare.log") as bare,
    ):
        yield {
            name: Contender(systems[name], keys[name], server, client, directory)
            for name, server in ((PRODUCT, product), (BARE, bare))
        }


async def _customers(system: BenchSystem) -> list[str]:
    """Creates customers and returns their API keys."""
    pepper = secrets.load(system.settings.data_dir / "secrets").key_pepper
    storage, now = SqliteStorage(system.settings.database), SystemClock().now()
    try:
        accounts = [await storage.run(create_account, f"customer {each}", now) for each in range(CUSTOMERS)]
        return [(await storage.run(create_key, account.id, pepper, now)).secret for account in accounts]
    finally:
        await storage.close()


def api(directory: Path, show_progress: Callable[[str], None]) -> None:
    """HTTP requests to the product and to the bare API."""
    with _contenders(directory) as both:
        for kind in KINDS:
            shapes = {name: each.fields(kind) for name, each in both.items()}
            assert shapes[PRODUCT] == shapes[BARE], f"{kind.name}: the two answers have different fields"
        for slots, requests in REQUESTS.items():
            _show(f"Requests, {slots} at once", _compare(both, slots, requests, show_progress))


def _compare(
    both: dict[str, Contender], slots: int, requests: int, show_progress: Callable[[str], None]
) -> dict[tuple[Kind, str], list[Run]]:
    turns = [(kind, name) for kind in KINDS for name in both]
    runs: dict[tuple[Kind, str], list[Run]] = {turn: [] for turn in turns}
    for kind, name in turns:
        both[name].ask(kind, WARM_UP // len(KINDS), slots)
    for round_ in range(ROUNDS):
        for kind, name in random.sample(turns, len(turns)):
            runs[kind, name].append(both[name].ask(kind, requests, slots))
        show_progress(f"round {round_ + 1} of {ROUNDS}, {slots} at once")
    return runs


def _show(title: str, runs: dict[tuple[Kind, str], list[Run]]) -> None:
    table = Table("", "", title=title, title_justify="left")
    for heading in ("requests/s", ": bare", "CPU µs a request", ": bare", "p50 µs", "p99", "client busy", "failed"):
        table.add_column(heading, justify="right")
    for (kind, name), several in runs.items():
        mine, theirs = _medians(several), _medians(runs[kind, BARE])
        table.add_row(
            kind.name,
            name,
            f"{mine.rate:.0f}",
            f"{mine.rate / theirs.rate:.2f}",
            f"{mine.cpu:.0f}",
            f"{mine.cpu / theirs.cpu:.2f}",
            f"{mine.p50:.0f}",
            f"{mine.p99:.0f}",
            f"{mine.busy:.0%}",
            str(sum(each.failed for each in several)),
        )
    out.print(table)


def _medians(runs: list[Run]) -> Run:
    return Run(
        rate=median(run.rate for run in runs),
        cpu=median(run.cpu for run in runs),
        busy=median(run.busy for run in runs),
        p50=median(run.p50 for run in runs),
        p99=median(run.p99 for run in runs),
        failed=sum(run.failed for run in runs),
    )
