"""`rented-numbers bookings change`: an operator changes a booking without adding credit."""

import json
from pathlib import Path

import pytest

from engine.domain.times import DAY_MS, EpochMs, instant_from, rfc3339
from engine.runtime.clock import SystemClock
from tests.integration.cli_runner import CliInProcess

CALLBACK = "https://customer.example/calls"
SPOKEN = "language, whisper, screening, greeting, reverse, accept_former_callers, beep"
STORED = f"destination, callback, label, metadata, paused, caller_id, refuse_anonymous, {SPOKEN}"
ASSERTS = {"trunks": '[{"name": "main", "uri": "sip:192.0.2.1", "asserts_identity": true}]'}
LIMITS = "max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds"


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    cli = CliInProcess(tmp_path)
    cli.set_up("demo")
    return cli


@pytest.fixture
def booking(cli: CliInProcess) -> str:
    noted = ("--label", "Order 1871", "--metadata", "order=1871", "--max-call-seconds", "60")
    made = cli.json("bookings", "create", "--account", "demo", "--callback", CALLBACK, "+32470123456", *noted)
    return str(made["id"])


def stored(cli: CliInProcess, columns: str, booking: str) -> list[object]:
    [row] = [row for booking_id, *row in cli.rows(f"SELECT id, {columns} FROM bookings") if booking_id == booking]  # noqa: S608  a test's own
    return row


def test_only_given_fields_change_and_no_credit_is_added(cli: CliInProcess, booking: str) -> None:
    before, credit = cli.json("bookings", "show", booking), "seconds_granted, calls_granted, end_at"
    granted = stored(cli, credit, booking)
    changed = cli.json("bookings", "change", booking, "--paused", "--label", "Order 1872")
    assert (changed["id"], changed["paused"], changed["label"]) == (booking, True, "Order 1872")
    assert cli.json("bookings", "show", booking) == before | {"paused": True, "label": "Order 1872"}
    assert cli.json("bookings", "change", booking, "--resumed")["paused"] is False
    assert stored(cli, credit, booking) == granted
    assert cli.json("ledger", "verify") == []


def test_every_field_of_patch_can_be_changed(cli: CliInProcess, booking: str) -> None:
    assert "carrier that asserts who calls" in cli.refused("bookings", "change", booking, "--reverse")
    cli.typed = "+32470654321\n"
    cli.environment["RENTED_NUMBERS_VOICE"] = "true"
    options = ("--callback", f"{CALLBACK}/2", "--label", "", "--metadata", "a=1", "--metadata", "b=2", "--paused")
    callers = ("--caller-id", "service", "--refuse-anonymous", "--max-concurrent-calls", "3", "--language", "nl")
    spoken = ("--whisper", "--screening", "press1", "--greeting", "--reverse", "--accept-former-callers", "--beep")
    changed = cli("bookings", "change", booking, "--destination", *options, *callers, *spoken, "--json", **ASSERTS)
    assert changed.returncode == 0, changed.stderr
    assert "470654321" not in changed.stdout.removeprefix(" +32470654321\n")  # the terminal's echo of the typed number
    destination, callback, label, metadata, *rest = stored(cli, STORED, booking)
    assert (destination, callback, label) == ("+32470654321", f"{CALLBACK}/2", "")
    assert json.loads(str(metadata)) == {"a": "1", "b": "2"}
    assert rest == [1, "service", 1, "nl", 1, "press1", 1, 1, 1, 1]
    assert stored(cli, LIMITS, booking) == [3, None, 60]


def test_hours_are_set_and_removed(cli: CliInProcess, booking: str) -> None:
    hours = ("--hours", "mon-fri 09:00-17:30", "--hours", "sat 10:00-12:00", "--time-zone", "Europe/Brussels")
    cli.json("bookings", "change", booking, *hours)
    shown = cli.json("bookings", "show", booking)["hours"]
    assert shown == "mon,tue,wed,thu,fri 09:00-17:30, sat 10:00-12:00 (Europe/Brussels)"
    for wrong in (("--hours", "always"), ("--hours", "mon 9-17"), (*hours[:2], "--any-time"), (*hours[:5], "Mars")):
        assert cli.refused("bookings", "change", booking, *wrong)
    assert cli.json("bookings", "show", booking)["hours"] == shown
    cli.json("bookings", "change", booking, "--any-time")
    assert cli.json("bookings", "show", booking)["hours"] is None


def test_the_start_moves_with_the_end(cli: CliInProcess) -> None:
    now = SystemClock().now()
    first, second, third = (rfc3339(EpochMs(now + days * DAY_MS)) for days in (10, 12, 14))
    made = ("--account", "demo", "--callback", CALLBACK, "+32470123456")
    booking = cli.json("bookings", "create", *made, "--start", first)["id"]
    before = cli.json("bookings", "show", booking)
    cli.json("bookings", "change", booking, "--start", second)
    after = cli.json("bookings", "show", booking)
    assert (before["startTime"], after["startTime"]) == (first, second)
    ends = [instant_from(each["endTime"]) or 0 for each in (before, after)]
    assert ends[1] - ends[0] == 2 * DAY_MS
    assert "RFC 3339" in cli.refused("bookings", "change", booking, "--start", "later")
    begun = cli.json("bookings", "create", *made)["id"]
    assert "the booking has begun" in cli.refused("bookings", "change", begun, "--start", third)


def test_limits_and_notes_can_be_removed(cli: CliInProcess, booking: str) -> None:
    cli.json("bookings", "change", booking, "--max-calls-per-caller-per-hour", "5", "--max-call-seconds", "0")
    assert stored(cli, LIMITS, booking) == [None, 5, None]
    cli.json("bookings", "change", booking, "--no-metadata", "--take-anonymous")
    shown = cli.json("bookings", "show", booking)
    assert (shown["metadata"], shown["label"], shown["refuseAnonymous"]) == ({}, "Order 1871", False)


def test_a_refused_change_gives_the_reason_and_changes_nothing(cli: CliInProcess, booking: str) -> None:
    before = stored(cli, f"{STORED}, {LIMITS}", booking)
    command = ("bookings", "change", booking, "--paused")
    assert "nothing to change" in cli.refused("bookings", "change", booking)
    assert "there is no such booking" in cli.refused("bookings", "change", "bkg_unknown", "--paused")
    assert "callback" in cli.refused(*command, "--callback", "ftp://customer.example/")
    assert "--label must have" in cli.refused(*command, "--label", "x" * 101)
    assert "--metadata must be key=value" in cli.refused(*command, "--metadata", "order")
    assert "either --metadata or --no-metadata" in cli.refused(*command, "--metadata", "a=1", "--no-metadata")
    assert cli(*command, "--max-call-seconds", "-1").returncode == 2
    cli.typed = "+1\n"
    assert "E.164" in cli(*command, "--destination").stderr
    assert stored(cli, f"{STORED}, {LIMITS}", booking) == before
    assert cli("bookings", "delete", booking, "--yes").returncode == 0
    assert "gone for good" in cli.refused(*command)


def test_a_sandbox_booking_is_changed_at_the_sandbox_time(cli: CliInProcess) -> None:
    world = cli.json("keys", "create", "demo", "--test")["accountId"]
    made = cli.json("bookings", "create", "--account", world, "--callback", CALLBACK, "+32470123456")
    cli.json("simulate", "clock", "--account", world, "--advance", str(8 * 24 * 3600))
    changed = cli.json("bookings", "change", made["id"], "--label", "late")
    assert (changed["status"], changed["endTime"]) == ("EXPIRED", made["endTime"])
