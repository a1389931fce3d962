"""L3: a hidden number, a caller, an API key and a callback's URL are left in no file, log or answer.

One system at its highest log levels makes calls of every kind, breaks during some of them, and crashes. Then all its
files except the database, and all its outputs are searched. Every other system of the suite is searched for its hidden
numbers when it stops (`System.stop`).
"""

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from os import environ

import pytest
from rich.console import Console

from api.app import ROUTES
from engine.config import secrets as kept_secrets
from engine.local import panel
from phones.listener import CallbackListener
from phones.sipp import Sipp
from tests.e2e import canary
from tests.e2e.booking import Booking
from tests.e2e.calls import Caller, wait_talking
from tests.e2e.system import System

CALLER = "+33199008642"


@dataclass
class Flight:
    """What the run did and returned. None of `words` may appear anywhere."""

    system: System
    words: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    cmdlines: set[str] = field(default_factory=set)
    other_key: str = ""

    def book(self, plan: str, callback: str) -> Booking:
        booked = self.system.book(plan, callback)
        self.words.add(booked.destination)
        return booked


@pytest.fixture(scope="module")
def flight() -> Iterator[Flight]:
    system = System(log_level="debug", callback_retention=1, reconcile_interval=1, ring_timeout=3)
    try:
        with pytest.MonkeyPatch.context() as talkative:
            talkative.setenv("PYTHONASYNCIODEBUG", "1")
            system.start()
        # As an operator might do to find a fault.
        for command in ("core set verbose 10", "core set debug 10", "pjsip set logger on"):
            system.asterisk_console(command)
        flight = Flight(system, words={CALLER, system.key})
        with CallbackListener() as listener, canary.command_lines(lambda: system.pids) as flight.cmdlines:
            path = f"path-{secrets.token_hex(8)}"
            flight.words.add(path)
            _fly(flight, Caller(system), f"{listener.url}/{path}", f"http://127.0.0.1:9/{path}")
        yield flight
    finally:
        system.stop()


def _fly(flight: Flight, caller: Caller, working: str, refusing: str) -> None:
    system = flight.system
    account = system.command("accounts", "create", "other", "--json")
    flight.other_key = system.command("keys", "create", account["id"], "--json")["key"]
    flight.words |= {flight.other_key, account["webhookSecret"]}
    _call_in_every_way(flight, caller, working, refusing)
    _lose_the_engine(flight, caller, working)
    _break_a_call(flight, caller, working)
    _break_the_worker(flight, caller, working)
    _ask_as_another_account(flight)
    _fail_in_the_sweep(flight, working)
    # Last, because Asterisk goes on sending to a trunk on which no program listens.
    assert _dial(caller, flight.book("LARGE", refusing)) == 503


def _dial(caller: Caller, booked: Booking, scenario: str = "uac_hangs_up") -> int | None:
    return caller.call(booked.service, scenario, source=CALLER, talk=100).status


def _call_in_every_way(flight: Flight, caller: Caller, working: str, refusing: str) -> None:
    system = flight.system
    bridged = flight.book("SMALL", working)
    with caller.hidden():
        assert _dial(caller, bridged, "uac_waits_for_bye") == 200  # until its three seconds are spent
    bridged.wait_settled()
    assert _dial(caller, bridged) == 410
    for scenario, status in (("uas_busy", 486), ("uas_no_answer", 480)):
        with caller.hidden(scenario):
            assert _dial(caller, flight.book("LARGE", refusing)) == status
    with caller.hidden():
        assert _dial(caller, flight.book("LARGE", refusing)) == 200
    deleted = flight.book("LARGE", working)
    with caller.hidden(), _talking(caller, deleted) as callers:
        assert system.request("DELETE", f"/bookings/{deleted.id}").status == 204
        callers.wait()
    assert _dial(caller, deleted) == 404
    blocked = flight.book("LARGE", working)
    assert system.request("POST", f"/bookings/{blocked.id}/blocked-callers", {"caller": CALLER}).status == 201
    assert _dial(caller, blocked) == 403


@contextlib.contextmanager
def _talking(caller: Caller, booked: Booking) -> Iterator[Sipp]:
    with caller.dialling(booked.service, keys={"source": CALLER}) as callers:
        wait_talking(caller.system, callers)
        yield callers


def _lose_the_engine(flight: Flight, caller: Caller, working: str) -> None:
    """No engine takes in the call's end, so that only the end spool holds it."""
    system, lost = flight.system, flight.book("SMALL", working)
    with caller.hidden(), _talking(caller, lost) as callers:
        system.kill_engine()
        callers.wait()
    system.wait_spooled(lost.id, 1)
    assert _dial(caller, lost) == 503
    system.start_engine(PYTHONASYNCIODEBUG="1")
    system.wait_ready()
    lost.wait_settled()


@contextlib.contextmanager
def _broken(system: System, table: str, column: str, key: str, value: str) -> Iterator[None]:
    """Inside its `with`, this column of this row has an invalid value."""
    with system.database() as database:
        [(before,)] = database.execute(f"SELECT {column} FROM {table} WHERE id = ?", [key])  # noqa: S608  our own words
    for now in (value, before):
        system.change(f"UPDATE {table} SET {column} = ? WHERE id = ?", now, key)  # noqa: S608
        if now is value:
            yield


def _break_a_call(flight: Flight, caller: Caller, working: str) -> None:
    """Makes an AGI script and API handlers fail with an exception whose text is the hidden number."""
    system, booked = flight.system, flight.book("LARGE", working)
    with _broken(system, "bookings", "usage_plan", booked.id, booked.destination):
        assert _dial(caller, booked) == 503
        for path in (f"/bookings/{booked.id}", "/bookings"):
            answer = system.get(path)
            assert answer.status == 500
            flight.answers[f"500 {path}"] = json.dumps(answer.body)


def _break_the_worker(flight: Flight, caller: Caller, working: str) -> None:
    """Makes the callback worker fail with a secret that cannot sign."""
    system, booked = flight.system, flight.book("LARGE", working)
    with system.database() as database:
        [(account,)] = database.execute("SELECT account_id FROM bookings WHERE id = ?", [booked.id])
    no_base64 = f"whsec_{booked.destination}A"
    with _broken(system, "accounts", "webhook_secret", account, no_base64), caller.hidden():
        assert _dial(caller, booked) == 200
        system.until(lambda: "callback_attempt_broke" in system.engine_log, "the attempt breaks")


def _ask_as_another_account(flight: Flight) -> None:
    """Requests every route with another account's key, and collects the owner's validation errors."""
    system, owner = flight.system, flight.system.key
    cdrs = system.get("/cdr?limit=100").body["data"]
    bookings = system.get("/bookings?includeExpired=true&limit=100").body["data"]
    hidden = bookings[0]["destination"]
    for answer, words in ((cdrs, {CALLER}), (bookings, {hidden})):
        assert canary.found_in(json.dumps(answer), words), "the search finds what the owner may see"
    for body in (
        {"destination": f"{hidden}77777", "usagePlan": "SMALL", "callback": "http://127.0.0.1:9/"},
        {"destination": hidden, "usagePlan": hidden, "callback": hidden},
        {"destination": [hidden], "usagePlan": "SMALL", "callback": "http://127.0.0.1:9/", hidden: hidden},
    ):
        refused = system.request("POST", "/bookings", body)
        assert refused.status == 422
        flight.answers[f"422 {body}"[:12] + str(len(flight.answers))] = json.dumps(refused.body)
    system.key = flight.other_key
    for route in ROUTES:
        records = cdrs if route.path.startswith("/cdr") else bookings
        for record in records if "{id}" in route.path else records[:1]:
            wish = {"usagePlan": "SMALL"} if route.method in {"PUT", "POST"} else None
            path = route.path.replace("{id}", record["id"]).replace("{caller}", CALLER)
            answer = system.request(route.method, path, wish)
            assert answer.status < 500
            if not route.path.startswith("/webhook-secret"):  # the other account may see its own secret
                flight.answers[f"{route.method} {route.path} {record['id']}"] = json.dumps(answer.body)
    system.key = owner


def _fail_in_the_sweep(flight: Flight, working: str) -> None:
    """Makes a step of the sweep fail with an exception whose text is the hidden number."""
    system, booked = flight.system, flight.book("LARGE", working)
    with _broken(system, "bookings", "usage_plan", booked.id, booked.destination):
        system.change("UPDATE bookings SET end_at = 1 WHERE id = ?", booked.id)
        system.until(lambda: "sweep_step_failed" in system.engine_log, "the sweep fails")


def test_no_file_except_the_database_holds_a_secret(flight: Flight) -> None:
    allowed = {"demo/api-key"}
    hits = canary.found_in_files(flight.system.data_dir, flight.words)
    assert {place: words for place, words in hits.items() if place not in allowed} == {}
    assert hits == {"demo/api-key": [flight.system.key]}  # the search finds what is there


def test_exceptions_are_logged_with_the_number_masked(flight: Flight) -> None:
    log = flight.system.engine_log
    masked = "331\\u2022\\u2022\\u2022\\u2022\\u2022"
    assert any("agi_crashed" in line and masked in line for line in log.splitlines())
    assert "request_failed" in log
    assert "callback_attempt_broke" in log


def test_the_end_spool_holds_no_secret(flight: Flight) -> None:
    spooled = {path.name: path.read_text() for path in flight.system.settings.journal.iterdir()}
    assert spooled["ends"].count("ended ") > 5, "every call that rang is in it"
    assert canary.found_in("\n".join([*spooled, *spooled.values()]), flight.words) == []


def test_no_command_line_shows_a_secret(flight: Flight) -> None:
    assert any("engine\0serve" in line for line in flight.cmdlines), "processes are seen"
    assert canary.found_in("\n".join(flight.cmdlines), flight.words) == []


def test_no_error_and_no_answer_to_another_account_shows_a_secret(flight: Flight) -> None:
    assert len(flight.answers) > len(ROUTES)
    shown = {asked: canary.found_in(answer, flight.words) for asked, answer in flight.answers.items()}
    assert {asked: words for asked, words in shown.items() if words} == {}


def test_no_other_command_shows_a_secret(flight: Flight) -> None:
    system = flight.system
    booking = system.get("/bookings").body["data"][0]["id"]
    for words in (
        ("numbers", "list"),
        ("accounts", "list"),
        ("keys", "list", "demo"),
        ("ledger", "verify"),
        ("explain", booking),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "engine", *words],
            env={**environ, **system._environment},
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout + done.stderr
        assert canary.found_in(done.stdout + done.stderr, flight.words) == [], words


def test_the_panel_shows_only_the_demo_key_and_health_no_secret(flight: Flight) -> None:
    system, shown = flight.system, StringIO()
    panel.show(Console(file=shown, width=200), system.settings, kept_secrets.load(system.data_dir / "secrets"), {}, "")
    # The panel's purpose is to show the demo's key.
    assert canary.found_in(shown.getvalue(), flight.words) == [system.key]
    assert canary.found_in(json.dumps(system.get("/health").body), flight.words) == []


def test_the_ledger_adds_up_afterwards(flight: Flight) -> None:
    assert flight.system.command("ledger", "verify", "--json") == []


def test_retention_deletes_delivered_callbacks(flight: Flight) -> None:
    def kept() -> int:
        with flight.system.database() as database:
            [(count,)] = database.execute("SELECT COUNT(*) FROM outbox WHERE finished_at IS NOT NULL")
        return int(count)

    flight.system.until(lambda: kept() == 0, "they are deleted")
    assert '"event": "expired_records_deleted"' in flight.system.engine_log


def test_the_search_finds_numbers_if_asterisk_logs_verbose_messages_to_a_file(flight: Flight) -> None:
    """The documents warn of such a log. It also shows that the search finds what Asterisk itself writes."""
    system, caller = flight.system, Caller(flight.system)
    booked = system.book("LARGE")
    system.asterisk_console("logger add channel planted verbose(3)")
    try:
        assert _dial(caller, booked) == 503  # no program listens at the trunk
        planted = {"asterisk/log/planted": [booked.destination]}
        system.until(
            lambda: canary.found_in_files(system.data_dir, {booked.destination}) == planted, "the search finds it"
        )
    finally:
        system.asterisk_console("logger remove channel planted")
        (system.data_dir / "asterisk" / "log" / "planted").unlink()
