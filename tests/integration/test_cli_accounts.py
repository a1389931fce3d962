"""Suspending, renaming and closing accounts on the command line, with and without a running engine."""

from pathlib import Path
from time import sleep

import pytest
import typer

from engine.runtime.clock import SystemClock
from tests.integration.cli_runner import Cli, CliInProcess
from tests.integration.restoring import CALLBACK, HIDDEN, Restorable


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    (tmp_path / "pool.csv").write_text("+3225550100\n+3225550101\n")
    cli.json("numbers", "import", "pool.csv")
    cli.json("accounts", "create", "ann")
    return cli


def book(cli: Cli) -> str:
    made = cli.json("bookings", "create", HIDDEN, "--account", "ann", "--callback", CALLBACK)
    return str(made["id"])


def test_an_account_is_suspended_and_resumed_and_bookings_say_why_calls_are_refused(cli: Cli) -> None:
    booking = book(cli)
    suspended = cli.json("accounts", "suspend", "ann", "--reason", "unpaid")
    assert (suspended["state"], suspended["reason"], suspended["closedAt"]) == ("SUSPENDED", "unpaid", None)
    # Suspended again, with another reason: since the same instant.
    again = cli.json("accounts", "suspend", suspended["id"], "--reason", "unpaid, and abuse")
    assert again == suspended | {"reason": "unpaid, and abuse"}
    assert cli.json("explain", booking)["reason"] == "account_suspended"
    assert "the account is suspended" in cli.refused(
        "bookings", "create", HIDDEN, "--account", "ann", "--callback", CALLBACK
    )
    [listed] = cli.json("accounts", "list")
    assert again.items() <= listed.items()
    resumed = cli.json("accounts", "resume", "ann")
    assert resumed == cli.json("accounts", "resume", "ann")
    assert (resumed["state"], resumed["suspendedAt"], resumed["reason"]) == ("ACTIVE", None, None)
    assert cli.json("explain", booking)["reason"] != "account_suspended"
    assert "there is no account 'eve'" in cli.refused("accounts", "suspend", "eve")


def test_an_account_is_renamed(cli: Cli) -> None:
    cli.json("accounts", "create", "bob")
    cli.json("keys", "create", "ann", "--test")
    assert cli.json("accounts", "rename", "ann", "Ann & sons")["name"] == "Ann & sons"
    assert [each["name"] for each in cli.json("accounts", "list")] == ["Ann & sons", "bob", "Ann & sons (test)"]
    assert "already" in cli.refused("accounts", "rename", "Ann & sons", "bob")


def test_an_account_is_closed_after_a_question_that_is_not_asked_twice(cli: CliInProcess) -> None:
    book(cli)
    cli.json("keys", "create", "ann")
    cli.json("keys", "create", "ann", "--test")
    cli.typed = "n\n"
    done = cli("accounts", "close", "ann")
    assert done.returncode == 1
    assert "Close ann for good, and end its 1 booking?" in done.stderr
    assert cli.json("accounts", "list")[0]["state"] == "ACTIVE"
    closed = cli.json("accounts", "close", "ann", "--yes")
    assert (closed["state"], closed["keysRevoked"], closed["bookingsEnded"]) == ("CLOSED", 2, 1)
    assert closed["callsEnded"] == 0
    assert cli.rows("SELECT state FROM numbers ORDER BY state") == [("FREE",), ("QUARANTINED",)]
    again = cli.json("accounts", "close", "ann")
    assert again == closed | {"keysRevoked": 0, "bookingsEnded": 0}
    for step in ("suspend", "resume"):
        assert "closed for good" in cli.refused("accounts", step, "ann")
    assert "closed for good" in cli.refused("keys", "create", "ann")


@pytest.mark.parametrize(
    ("command", "instant"),
    [
        (("accounts", "close", "ann"), "SELECT closed_at FROM accounts"),
        (("accounts", "close", "ann"), "SELECT gone_at FROM bookings"),
        (("bookings", "delete", "+3225550100"), "SELECT gone_at FROM bookings"),
        (("secrets", "rotate", "ann", "--overlap", "0s"), "SELECT old_secret_until FROM accounts"),
    ],
    ids=["account", "bookings of an account", "booking", "secret"],
)
def test_what_a_question_delays_happens_when_it_is_answered(
    cli: CliInProcess, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], instant: str
) -> None:
    """Otherwise a booking that is made meanwhile would be gone before it was made."""
    book(cli)
    cli.json("secrets", "rotate", "ann")
    answered_at = []

    def ask(*_: object, **__: object) -> bool:
        sleep(0.05)
        answered_at.append(SystemClock().now())
        return True

    monkeypatch.setattr(typer, "confirm", ask)
    cli.json(*command)
    [(done_at,)] = cli.rows(instant)
    assert done_at >= answered_at[0]


def test_a_running_engine_follows_at_once(tmp_path: Path) -> None:
    system = Restorable(tmp_path)
    with system.engine() as engine:
        booking = engine.book()[1]["id"]
        system.cli.json("accounts", "suspend", "Acme")
        assert engine.ask("GET", "/bookings")[0] == 403
        assert engine.ask("GET", "/account")[1]["state"] == "SUSPENDED"
        system.cli.json("accounts", "resume", "Acme")
        assert engine.ask("GET", f"/bookings/{booking}")[0] == 200
        assert system.cli.json("accounts", "close", "Acme", "--yes")["bookingsEnded"] == 1
        assert engine.ask("GET", "/account")[0] == 401


def test_a_suspended_and_a_closed_account_stay_so_after_a_restore(tmp_path: Path) -> None:
    system = Restorable(tmp_path)
    system.cli.json("accounts", "create", "Bob")
    booking = system.book()["id"]
    system.backup()
    system.cli.json("accounts", "suspend", "Bob", "--reason", "unpaid")
    system.cli.json("accounts", "close", "Acme", "--yes")
    receipt = system.restore()
    counts = ("accountsSuspended", "accountsResumed", "accountsClosed", "keysRevoked", "bookingsEnded")
    assert [receipt[name] for name in counts] == [1, 0, 1, 1, 1]
    assert {each["name"]: each["state"] for each in system.cli.json("accounts", "list")} == {
        "Acme": "CLOSED",
        "Bob": "SUSPENDED",
    }
    assert system.cli.rows("SELECT id, gone_at IS NOT NULL FROM bookings") == [(booking, 1)]


def test_a_link_to_the_portal_is_for_one_account_and_not_for_a_suspended_one(cli: Cli) -> None:
    made = cli.json("accounts", "portal-link", "ann", "--scope", "full", "--url", "https://api.example.com/")
    [account] = cli.json("accounts", "list")
    assert made["link"].startswith(f"https://api.example.com/portal/sign-in?account={account['id']}#")
    assert len(made["link"].partition("#")[2]) == 43
    assert "--url" in cli.refused("accounts", "portal-link", "ann", "--scope", "read", "--url", "api.example.com")
    cli.json("accounts", "suspend", "ann")
    assert "suspended" in cli.refused("accounts", "portal-link", "ann", "--scope", "read")
