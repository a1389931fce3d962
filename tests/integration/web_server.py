"""Serves the API with its pages over a real database; Asterisk and what commands say are fakes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from api.app import Dependencies, RequestLimits, WebServices, build_app
from api.http.server import build_runner
from api.web.frame.commands import CommandResult, CommandRunner
from api.web.frame.site import Site
from engine.bookings.adjustments import Adjustment, adjust
from engine.control.requests import Done, EndCalls, HangUp, ShownTrunk, ShownTrunks, ShowTrunks
from engine.domain.ids import BookingId, CallId
from engine.metrics.tallies import Tallies
from engine.runtime.clock import Clock
from engine.runtime.security_log import SecurityLog
from engine.storage.bookings import Grant
from engine.storage.console_reads import ConsoleReads
from engine.storage.interface import EngineStorage
from engine.storage.reads import Reads
from tests.integration.api_helpers import PEPPER, POLICY, START, check_callback

FINDINGS = [
    {"part": "database", "verdict": "ok", "what": "can be written", "fix": ""},
    {"part": "engine", "verdict": "failed", "what": "asterisk is down", "fix": "start Asterisk, or see its log"},
    {"part": "trunk main", "verdict": "ok", "what": "the engine reports: up", "fix": ""},
    {"part": "asterisk modules", "verdict": "ok", "what": "those that calls need run", "fix": ""},
    {
        "part": "callbacks",
        "verdict": "warning",
        "what": "all have failed since 2026-03-01T11:00:00.000Z",
        "fix": "see the engine's log",
    },
]


# What no page says to people: times as programs write them, wrong plurals, nothing.
CLUMSY = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|\bNone\b|\bnull\b"
    r"|\b1 [a-z]*(?:minute|call|day|second|attempt|key|number|booking|callback|discrepancie)s\b"
)
EMPTY = re.compile(r"<(t[dh]|d[dt]|p|code)\b[^>]*>\s*</\1>")


def clumsy_in(html: str) -> list[str]:
    """Returns what a page should say better. What it shows word for word, in `pre`, is not looked at."""
    said = re.sub(r"<pre\b.*?</pre>", "<pre>…</pre>", html, flags=re.DOTALL)
    return [each[0] for each in (*EMPTY.finditer(said), *CLUMSY.finditer(re.sub(r"<[^>]*>", " ", said)))]


class FakeOperator:
    """Records the calls and the bookings whose end it was asked for; adjusts without Asterisk."""

    def __init__(self, storage: EngineStorage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self.hung_up: list[CallId] = []
        self.ended: list[BookingId] = []

    async def hang_up(self, request: HangUp) -> Done:
        self.hung_up.append(request.call_id)
        return Done(1)

    async def end_calls(self, request: EndCalls) -> Done:
        self.ended.append(request.booking_id)
        return Done(1)

    async def adjust(self, adjustment: Adjustment) -> Grant:
        return await self._storage.run(adjust, adjustment, self._clock.timestamp(), POLICY)

    async def show_trunks(self, _: ShowTrunks) -> ShownTrunks:
        return ShownTrunks(
            [ShownTrunk("main", "up", START, 1, None, None), ShownTrunk("spare", "down", START, 0, 503, START)]
        )


class FakeCommands(CommandRunner):
    """Has the results of all commands already."""

    findings = FINDINGS

    def latest(self, *words: str) -> CommandResult:
        output: Any = self.findings if words[0] == "doctor" else []
        return CommandResult(output, ("7 bookings verified, 0 discrepancies",), 0, 0.7, START)

    def start(self, *words: str) -> None:
        """Does nothing."""


class Served(TestServer):
    """aiohttp's test server with the runner that the API has in production."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return build_runner(self.app, shutdown_seconds=1.0)


class Answer(NamedTuple):
    status: int
    text: str
    headers: Any


async def ask_site(
    site: Site, client: aiohttp.ClientSession, method: str, url: str, secret: str, form: Any, headers: dict[str, str]
) -> Answer:
    """Sends a request, with the cookie of a session if there is a secret. Redirections are not followed."""
    cookie = {"Cookie": f"{site.cookie}={secret}"} if secret else {}
    asked = client.request(method, URL(url, encoded=True), headers=headers | cookie, data=form, allow_redirects=False)
    async with asked as answer:
        return Answer(answer.status, await answer.text(), answer.headers.copy())


class ServedPages(NamedTuple):
    """The served API with its pages.

    Attributes:
        operator: What stands for Asterisk.
        log: The security log.
    """

    url: str
    operator: FakeOperator
    log: SecurityLog


@asynccontextmanager
async def served_pages(
    directory: Path, storage: EngineStorage, clock: Clock, database: Path, **changes: Any
) -> AsyncIterator[ServedPages]:
    """Serves the API with the console and the portal. `changes`: of what the API depends on."""
    operator = FakeOperator(storage, clock)
    log = SecurityLog(directory / "security.log", dict.fromkeys(("Console", "Portal"), ("127.0.0.1", 8080)))

    async def hang_up(_: object) -> None:
        """Nothing is up."""

    async with Reads(database) as reads:
        deps = Dependencies(
            storage=storage,
            reads=reads,
            clock=clock,
            policy=POLICY,
            pepper=PEPPER,
            check_callback=check_callback,
            hang_up=hang_up,
            renewed=lambda _: None,
            health=lambda: {"database": "up", "ami": "connecting", "asterisk": "down"},
            last_commit=lambda: None,
            key_used=lambda _: None,
            refused=log.refused,
            trunks=lambda: {"main": "up", "spare": "down"},
            limits=RequestLimits(body_seconds=2.0),
        )
        services = WebServices(
            reads=ConsoleReads(database),
            operator=operator,  # type: ignore[arg-type]
            security_log=log,
            commands=FakeCommands(),
            tallies=Tallies(["main", "spare"]),
            url="http://127.0.0.1:8080",
        )
        server = Served(build_app(replace(deps, **changes), services))
        await server.start_server()
        yield ServedPages(str(server.make_url("")).rstrip("/"), operator, log)
        await server.close()
