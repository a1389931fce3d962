"""`rented-numbers bookings`: an operator reads and adjusts bookings while no engine is running."""

import json
import os
import pty
import sqlite3
import subprocess
from contextlib import closing, suppress
from io import FileIO
from pathlib import Path

import pytest

from tests.integration.cli_runner import Cli, CliInProcess


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    return CliInProcess(tmp_path)


@pytest.fixture
def booking(cli: Cli) -> str:
    """A booking of a softphone, which was renewed several times."""
    cli.set_up("demo")
    [(booking_id,)] = cli.rows("SELECT id FROM bookings ORDER BY id LIMIT 1")
    return str(booking_id)


def credit(cli: Cli, booking: str) -> tuple[int, ...]:
    rows = cli.rows("SELECT id, seconds_granted, seconds_remaining, calls_granted, calls_remaining FROM bookings")
    [row] = [row for booking_id, *row in rows if booking_id == booking]
    return tuple(row)


def test_a_booking_is_shown_with_its_grants_and_without_its_destination(cli: Cli, booking: str) -> None:
    shown = cli.json("bookings", "show", booking)
    assert (shown["id"], shown["status"], shown["callerId"]) == (booking, "ACTIVE", "caller")
    assert shown["secondsGranted"] == shown["secondsRemaining"] == sum(each["seconds"] for each in shown["grants"])
    assert [each["usagePlan"] for each in shown["grants"]] == ["LARGE"] * (len(shown["grants"]))
    [(hidden,)] = cli.rows("SELECT destination FROM bookings ORDER BY id LIMIT 1")
    for arguments in (("--json",), ()):
        assert hidden[-6:] not in cli("bookings", "show", booking, *arguments).stdout


def test_adjustments_are_stored_with_their_reason_and_the_ledger_balances(cli: Cli, booking: str) -> None:
    granted, _, calls, _ = credit(cli, booking)
    given = cli.json("bookings", "adjust", booking, "--seconds", "60", "--calls", "2", "--reason", "a present")
    assert (given["seconds"], given["calls"], given["bookingId"]) == (60, 2, booking)
    taken = cli.json("bookings", "adjust", booking, "--seconds", "-100", "--reason", "a complaint")
    assert (taken["seconds"], taken["calls"], taken["reason"]) == (-100, 0, "a complaint")
    assert taken["secondsGranted"] == granted - 40
    assert credit(cli, booking) == (granted - 40, granted - 40, calls + 2, calls + 2)
    newest, older, *_ = cli.json("bookings", "show", booking)["grants"]
    assert [(each["seconds"], each["usagePlan"], each["reason"]) for each in (newest, older)] == [
        (-100, None, "a complaint"),
        (60, None, "a present"),
    ]
    assert cli.json("ledger", "verify") == []


def test_taking_more_than_there_is_takes_what_there_is_and_reports_it(cli: Cli, booking: str) -> None:
    granted, _, calls, _ = credit(cli, booking)
    done = cli("bookings", "adjust", booking, "--seconds", "-100000000", "--reason", "a complaint")
    assert done.returncode == 0
    assert f"{granted} of 100000000 seconds were taken away" in done.stderr
    assert credit(cli, booking) == (0, 0, calls, calls)
    assert cli.json("bookings", "show", booking)["status"] == "EXPIRED"
    assert cli.json("bookings", "adjust", booking, "--seconds", "9", "--reason", "a present")["secondsRemaining"] == 9
    assert cli.json("bookings", "show", booking)["status"] == "ACTIVE"
    assert cli.json("ledger", "verify") == []


def test_a_refused_adjustment_gives_the_reason_and_changes_nothing(cli: Cli, booking: str) -> None:
    before = credit(cli, booking)
    command = ("bookings", "adjust")
    assert "there is no such booking" in cli.refused(*command, "bkg_unknown", "--seconds", "1", "--reason", "x")
    assert "nothing to adjust" in cli.refused(*command, booking, "--reason", "x")
    assert "--reason" in cli.refused(*command, booking, "--seconds", "1", "--reason", " ")
    assert "no more than" in cli.refused(*command, booking, "--seconds", "9999999999", "--reason", "x")
    assert cli(*command, booking, "--seconds", "1").returncode == 2
    said = cli.refused("bookings", "show", "bkg_unknown")
    assert "there is no such booking: `bookings list --gone` shows them" in said
    with closing(sqlite3.connect(cli.data / "rented-numbers.sqlite3")) as database, database:
        database.execute("UPDATE bookings SET gone_at = 1")
    assert "gone for good" in cli.refused(*command, booking, "--seconds", "1", "--reason", "x")
    assert credit(cli, booking) == before


SPOKEN = ("--whisper", "--screening", "press1", "--greeting", "--accept-former-callers", "--beep")


def test_bookings_are_created_listed_renewed_and_deleted_for_an_account(cli: Cli) -> None:
    cli.set_up("demo")
    cli.environment["RENTED_NUMBERS_VOICE"] = "true"
    cli.environment["RENTED_NUMBERS_TRUNKS"] = '[{"name": "main", "uri": "sip:192.0.2.1", "asserts_identity": true}]'
    made = ("bookings", "create", "--account", "demo", "--callback", "https://customer.example/calls")
    first = cli.json(*made, "+32470123456", "--plan", "small", "--max-concurrent-calls", "3", "--refuse-anonymous")
    second = cli.json(*made, "+32470123456", "--caller-id", "anonymous", "--language", "fr", *SPOKEN, "--reverse")
    columns = "max_concurrent_calls, refuse_anonymous, caller_id, language, whisper, screening, reverse, greeting"
    columns += ", accept_former_callers, beep"
    stored = cli.rows(f"SELECT {columns} FROM bookings ORDER BY id DESC LIMIT 2")  # noqa: S608  a test's own
    assert stored == [
        (None, 0, "anonymous", "fr", 1, "press1", 1, 1, 1, 1),
        (3, 1, "caller", None, 0, "none", 0, 0, 0, 0),
    ]
    listed = cli.json("bookings", "list", "--account", "demo")
    assert listed == [second, first]
    assert "470123456" not in str(listed)
    page = cli("bookings", "list", "--account", "demo", "--limit", "1", "--json")
    assert (json.loads(page.stdout), page.stderr.split()[-1]) == ([second], second["id"])
    assert cli.json("bookings", "list", "--account", "demo", "--before", second["id"]) == [first]
    renewed = cli.json("bookings", "renew", first["id"], "--plan", "large")
    assert renewed["usagePlan"] == "LARGE"
    assert renewed["secondsRemaining"] > first["secondsRemaining"]
    assert cli.json("bookings", "delete", first["id"], "--yes") == {
        "id": first["id"],
        "service": first["service"],
        "callsEnded": 0,
    }
    assert cli.json("bookings", "list", "--account", "demo") == [second]
    assert [each["status"] for each in cli.json("bookings", "list", "--account", "demo", "--gone")] == [
        "ACTIVE",
        "GONE",
    ]
    assert cli.json("ledger", "verify") == []


def test_a_booking_is_created_with_a_chosen_number_and_notes(cli: Cli) -> None:
    cli.set_up("demo")
    made = ("bookings", "create", "--account", "demo", "--callback", "https://customer.example/calls", "+32470123456")
    noted = ("--label", "for +32470123456", "--metadata", "order=1871", "--metadata", "who=+32470123456=x", "--paused")
    start = ("--start", "2099-01-01T00:00:00Z")
    assert "cannot begin more than 365 days from now" in cli.refused(*made, *start)
    first = cli.json(*made, "--service", "+33199000007", *noted, "--max-call-seconds", "60")
    assert (first["service"], first["paused"]) == ("+33199000007", True)
    shown = cli.json("bookings", "show", first["id"])
    assert (shown["paused"], shown["account"], shown["callback"]) == (True, "demo", "https://customer.example/calls")
    assert (shown["maxCallSeconds"], shown["maxConcurrentCalls"]) == (60, None)
    assert shown["metadata"] == {"order": "1871", "who": "+324•••••56=x"}
    assert shown["label"] == first["label"] == "for +324•••••56"
    [stored] = cli.rows("SELECT label, metadata FROM bookings WHERE service = '+33199000007'")
    assert (stored[0], json.loads(stored[1])) == ("for +32470123456", {"order": "1871", "who": "+32470123456=x"})
    assert cli.json(*made, "--prefix", "+3319900001")["service"].startswith("+3319900001")
    assert cli.json(*made, "--country", "FR")["service"].startswith("+33")
    assert cli.json(*made, "--country", "FR", "--area", "199")["service"].startswith("+33199")
    assert cli.json(*made, "--country", "any")["service"].startswith("+33")
    assert "booked or in quarantine" in cli.refused(
        *made, "--area", "2"
    )  # of the destination's country, which has none
    assert "not free" in cli.refused(*made, "--service", "+33199000007")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--service", "+33199000007", "--country", "FR"), "give only one of"),
        (("--service", "33199000007"), "--service must be"),
        (("--start", "tomorrow"), "--start"),
        (("--prefix", "33"), "--prefix must be"),
        (("--country", "fr"), "--country must be a country"),
        (("--country", "FR", "--area", "+1"), "--area must be"),
        (("--country", "any", "--area", "1"), "not to any"),
        (("--prefix", "+33", "--area", "1"), "give only one of"),
        (("--service", "+33199000007", "--area", "1"), "give only one of"),
        (("--label", "x" * 101), "--label must have"),
        (("--metadata", "order"), "--metadata must be key=value"),
        (("--metadata", "order=1", "--metadata", "order=2"), "with each key once"),
        (("--metadata", "two words=1"), "a key must have"),
        (("--metadata", f"order={'x' * 501}"), "a value at most"),
    ],
)
def test_a_bad_choice_or_note_is_refused_before_booking(
    cli: CliInProcess, booking: str, options: tuple[str, ...], why: str
) -> None:
    made = ("bookings", "create", "--account", "demo", "--callback", "https://customer.example/calls", "+32470123456")
    assert why in cli.refused(*made, *options)
    assert booking
    assert cli.json("bookings", "list", "--account", "demo") == []


def test_a_refused_booking_gives_the_reason(cli: CliInProcess, booking: str) -> None:
    made = ("bookings", "create", "--account", "demo", "--callback")
    assert "callback" in cli.refused(*made, "ftp://customer.example/", "+32470123456")
    assert "E.164" in cli.refused(*made, "https://customer.example/", "+1")
    assert "there is no account" in cli.refused("bookings", "list", "--account", "nobody")
    assert "there is no such booking" in cli.refused("bookings", "renew", "bkg_unknown")
    assert "there is no such booking" in cli.refused("bookings", "delete", "bkg_unknown", "--yes")
    cli.typed = "n\n"
    assert cli("bookings", "delete", booking).returncode == 1
    assert cli.json("bookings", "show", booking)["status"] == "ACTIVE"


def test_sandbox_bookings_use_the_sandbox_clock(cli: Cli) -> None:
    cli.set_up("demo")
    world = cli.json("keys", "create", "demo", "--test")["accountId"]
    made = cli.json("bookings", "create", "--account", world, "--callback", "https://customer.example/", "+32470123456")
    cli.json("simulate", "clock", "--account", world, "--advance", str(8 * 24 * 3600))
    assert made["id"] not in [each["id"] for each in cli.json("bookings", "list", "--account", world)]
    [expired] = [
        each for each in cli.json("bookings", "list", "--account", world, "--expired") if each["id"] == made["id"]
    ]
    assert expired["status"] == "EXPIRED"
    assert cli.json("bookings", "renew", made["id"])["status"] == "ACTIVE"


def test_only_the_demo_accepts_a_callback_on_this_machine(cli: Cli, booking: str) -> None:
    there = ("--callback", "http://127.0.0.1:9000/calls")
    for command in (("create", "--account", "demo", "+33199111111"), ("change", booking)):
        said = cli.refused("bookings", *command, *there)
        assert "must begin with https://" in said
        assert "RENTED_NUMBERS_PROFILE=demo" in said
    assert cli("bookings", "change", booking, *there, profile="demo").returncode == 0
    assert "must begin with https:// or http://" in cli.refused(
        "bookings", "change", booking, "--callback", "ftp://127.0.0.1/", profile="demo"
    )


def test_a_table_does_not_cut_values(cli: Cli, booking: str) -> None:
    listed = cli("bookings", "list").stdout
    assert [row for row in listed.splitlines() if booking in row and "ACTIVE" in row]
    assert "…" not in listed


def test_a_narrow_terminal_shows_records_one_below_the_other(tmp_path: Path, cli: Cli, booking: str) -> None:
    real = Cli(tmp_path)  # a process in the same directory
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        try:
            subprocess.run(
                real.command("bookings", "list"),
                cwd=tmp_path,
                env=real.settings() | {"COLUMNS": "80", "TERM": "xterm"},
                stdout=theirs,
                timeout=60,
                check=True,
            )
        finally:
            os.close(theirs)
        shown = [line.split() for line in _all_of(screen).decode().splitlines()]
    for row in cli.json("bookings", "list"):
        for name in ("id", "service", "status", "endTime"):
            assert [name, str(row[name])] in shown


def _all_of(screen: FileIO) -> bytes:
    """Read the terminal until its other end is closed."""
    text = b""
    with suppress(OSError):  # Linux reports the closed other end so
        while read := screen.read(65_536):
            text += read
    return text
