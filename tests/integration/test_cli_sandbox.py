"""`keys create --test` and `simulate …`: an operator uses the sandbox of a customer."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.accounts.accounts import create_account, sandbox_of
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.config import secrets
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, rfc3339
from engine.runtime.clock import SystemClock
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from phones.ports import free_port
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, POLICY
from tests.integration.cli_runner import Cli, CliInProcess, wait_until_it_answers
from tests.programs import ended

CALL = ("--source", CALLER, "--outcome")


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    return CliInProcess(tmp_path)


def booked(cli: Cli) -> str:
    """Book in the sandbox of a new account "Acme", and return the rented number."""

    def book(tx: Transaction, now: EpochMs) -> str:
        create_account(tx, "Acme", now)
        account = sandbox_of(tx, "Acme", now)
        return bookings.book(tx, BookingRequest(account.id, HIDDEN, UsagePlan.MEDIUM, CALLBACK), now, POLICY).service

    async def run() -> str:
        storage = SqliteStorage(database)
        try:
            return await storage.run(book, SystemClock().now())
        finally:
            await storage.close()

    database = cli.data / "rented-numbers.sqlite3"
    cli.data.mkdir(mode=0o700, exist_ok=True)
    secrets.ensure(cli.data / "secrets")
    migrate(database)
    return asyncio.run(run())


def test_a_test_key_opens_the_sandbox_of_the_account(cli: Cli) -> None:
    cli.set_up()
    cli.json("accounts", "create", "Acme")
    first = cli.json("keys", "create", "Acme", "--test")
    live = cli.json("keys", "create", "Acme")
    assert first["key"].startswith("rn_test_")
    assert live["key"].startswith("rn_live_")
    assert first["webhookSecret"].startswith("whsec_")
    assert "webhookSecret" not in live
    accounts = {row["name"]: row for row in cli.json("accounts", "list")}
    assert accounts["Acme (test)"]["testOf"] == accounts["Acme"]["id"] == live["accountId"]
    assert accounts["Acme (test)"]["id"] == first["accountId"]
    keys = {row["id"]: row["test"] for row in cli.json("keys", "list", "Acme")}
    assert keys == {live["id"]: False, first["id"]: True}


def test_a_running_engine_processes_a_sandbox_by_its_clock(cli: Cli) -> None:
    cli.set_up()
    booked(cli)
    # As after a crash between setting the clock and processing what falls due.
    cli.execute("UPDATE accounts SET clock_ahead_ms = 31536000000 WHERE test_of IS NOT NULL")
    ports = {name: str(free_port()) for name in ("http_port", "fastagi_port", "ami_port")}
    settings = cli.settings(**ports)
    with ended(
        subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.DEVNULL)
    ) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{ports['http_port']}/health", engine)
            deadline = time.monotonic() + 60
            while cli.rows("SELECT id FROM bookings WHERE gone_at IS NULL") and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            engine.send_signal(signal.SIGTERM)
    assert cli.rows("SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL") == [(0,)]


def test_the_cli_simulates_a_call_without_showing_the_destination_and_moves_the_clock(cli: Cli) -> None:
    service = booked(cli)
    where = ("--account", "Acme", "--service", service)
    told = cli.json("simulate", "call", *where, *CALL, "answered", "--seconds", "12")
    expected = {"putThrough": True, "reason": "put_through", "sipStatus": 200, "duration": 12, "status": "ACTIVE"}
    assert expected.items() <= told.items()
    assert cli.rows("SELECT source, duration FROM cdrs") == [(CALLER, 12)]
    assert cli.rows("SELECT COUNT(*) FROM outbox") == [(1,)]
    shown = cli("simulate", "call", *where, *CALL, "busy").stdout
    assert "486" in shown
    assert HIDDEN[-6:] not in shown + str(told)
    traced = cli("calls", "trace", cli.rows("SELECT id FROM cdrs LIMIT 1")[0][0])
    assert "times are by the sandbox's clock" in traced.stderr
    a_year_on = rfc3339(EpochMs(SystemClock().now() + 31_536_000_000))
    after = cli.json("simulate", "clock", "--account", "Acme (test)", "--advance", "31536000")["now"]
    assert (
        a_year_on <= after <= rfc3339(EpochMs(SystemClock().now() + 31_536_000_000 + 12_000))
    )  # plus the call's 12 seconds
    assert cli.rows("SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL") == [(0,)]

    # Bad values are refused by their option.
    assert "--seconds: is required with the outcome answered" in cli.refused(
        "simulate", "call", *where, *CALL, "answered"
    )
    assert "--advance: " in cli.refused("simulate", "clock", "--account", "Acme", "--advance", str(400 * 86_400))
