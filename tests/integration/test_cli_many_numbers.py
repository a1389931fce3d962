"""`numbers retire` of many numbers, `numbers summary`, `bookings top` and `blocked-callers` on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.bookings import retirement
from engine.cli import numbers
from engine.cli.database import run_command
from engine.config.settings import Settings
from tests.integration.cli_runner import CliInProcess
from tests.integration.restoring import CALLBACK, HIDDEN

POOL = (*(f"+32255501{n:02}" for n in range(6)), *(f"+3319900010{n}" for n in range(3)))


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    """A pool of six numbers of Belgium, one of them booked and one in quarantine, and of three of France."""
    cli = CliInProcess(tmp_path)
    cli.set_up()
    (tmp_path / "pool.csv").write_text("".join(f"{number}\n" for number in POOL))
    cli.json("numbers", "import", "pool.csv")
    cli.json("numbers", "quarantine", POOL[5])
    cli.json("accounts", "create", "ann")
    booked(cli, POOL[0])
    return cli


def booked(cli: CliInProcess, service: str) -> str:
    made = cli.json("bookings", "create", HIDDEN, "--account", "ann", "--callback", CALLBACK, "--service", service)
    return str(made["id"])


def retired(cli: CliInProcess) -> list[str]:
    return [each["number"] for each in cli.json("numbers", "list", "--state", "retired")]


def counts(*, retired: int, already: int = 0, booked: int = 0, dry_run: bool = False) -> dict[str, Any]:
    return {"retired": retired, "alreadyRetired": already, "booked": booked, "dryRun": dry_run}


@pytest.mark.parametrize(
    ("choice", "expected", "numbers"),
    [
        (["--prefix", "+322"], counts(retired=5, booked=1), POOL[1:6]),
        (["--prefix", "+3225550103"], counts(retired=1), POOL[3:4]),
        (["--country", "fr"], counts(retired=3), POOL[6:]),
        (["--country", "BE", "--prefix", "+331"], counts(retired=0), ()),
        (["--prefix", "+3225550100"], counts(retired=0, booked=1), ()),
    ],
)
def test_numbers_of_a_prefix_or_country_are_counted_and_retired_but_for_booked_ones(
    cli: CliInProcess, choice: list[str], expected: dict[str, Any], numbers: tuple[str, ...]
) -> None:
    assert cli.json("numbers", "retire", *choice, "--dry-run") == expected | {"dryRun": True}
    assert retired(cli) == []
    if expected["retired"]:
        cli.typed = "n\n"
        asked = cli("numbers", "retire", *choice)
        assert asked.returncode == 1
        numbers_in_words = "1 number" if expected["retired"] == 1 else f"{expected['retired']} numbers"
        assert f"Retire {numbers_in_words}?" in asked.stderr
        assert ("1 booked ones stay" in asked.stderr) == bool(expected["booked"])
    assert cli.json("numbers", "retire", *choice, "--yes") == expected
    assert sorted(retired(cli)) == sorted(numbers)
    assert cli.json("numbers", "retire", *choice) == expected | {"retired": 0, "alreadyRetired": len(numbers)}
    if POOL[5] in numbers:  # it keeps the rest of its quarantine
        assert cli.json("numbers", "restore", POOL[5])["state"] == "QUARANTINED"


def test_lists_and_retirements_of_a_pool_take_a_transaction_for_each_few_numbers(
    cli: CliInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction of the command line is open, the engine decides on no call."""
    monkeypatch.setattr(numbers, "PAGE", 2)
    monkeypatch.setattr(retirement, "BATCH", 2)
    largest = 0

    def run(settings: Settings, command: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal largest
        result = run_command(settings, command, *arguments, **options)
        if isinstance(result, list):
            largest = max(largest, len(result))
        return result

    monkeypatch.setattr(numbers, "run_command", run)
    assert [each["number"] for each in cli.json("numbers", "list")] == sorted(POOL)
    assert cli.json("numbers", "retire", "--prefix", "+3", "--yes") == counts(retired=8, booked=1)
    assert retired(cli) == sorted(POOL[1:])
    assert largest == 2


def test_the_numbers_of_a_file_are_retired_all_or_none(cli: CliInProcess) -> None:
    file = cli.directory / "old.csv"
    file.write_text(f"number,why\n{POOL[6]},x\n+3225559999,x\nnonsense\n{POOL[0]}\n{POOL[6]}\n")
    shown = cli.refused("numbers", "retire", "--file", "old.csv", "--yes")
    assert [line.split(": ")[1] for line in shown.splitlines()] == ["line 3", "line 4", "line 5", "line 6"]
    assert retired(cli) == []
    file.write_text(f"{POOL[6]}\n{POOL[7]}\n")
    assert cli.json("numbers", "retire", "--file", "old.csv", "--dry-run") == counts(retired=2, dry_run=True)
    cli.typed = "y\n"
    assert cli("numbers", "retire", "--file", "old.csv").returncode == 0
    assert retired(cli) == list(POOL[6:8])
    cli.typed = f"{POOL[7]}\n{POOL[8]}\n"
    assert "cannot answer" in cli.refused("numbers", "retire", "--file", "-")
    assert cli.json("numbers", "retire", "--file", "-", "--yes") == counts(retired=1, already=1)
    assert retired(cli) == sorted(POOL[6:])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "give a number, or --file"),
        (["--prefix", "+32", "--file", "x.csv"], "give a number, or --file"),
        ([POOL[1], "--country", "BE"], "give a number, or --file"),
        (["--prefix", "032", "--yes"], "not the beginning of an E.164 number"),
        (["--country", "XX", "--yes"], "not a country"),
        ([POOL[0], "--dry-run"], "is booked"),
    ],
)
def test_an_unclear_choice_is_refused(cli: CliInProcess, arguments: list[str], why: str) -> None:
    assert why in cli.refused("numbers", "retire", *arguments)
    assert retired(cli) == []


def test_the_pool_is_summed_up_by_country(cli: CliInProcess) -> None:
    for number in POOL[6:8]:
        cli.json("numbers", "retire", number)
    belgium, france, everything = cli.json("numbers", "summary")
    # One booking a week: the four free numbers last for 28 days, and one more comes back after 30.
    assert belgium == {
        "country": "BE",
        "free": 4,
        "booked": 1,
        "quarantined": 1,
        "retired": 0,
        "shared": 0,
        "bookedLastWeek": 1,
        "daysLeft": 28,
    }
    assert (france["country"], france["free"], france["retired"], france["daysLeft"]) == ("FR", 1, 2, None)
    assert everything == {
        "country": "all",
        **{name: belgium[name] + france[name] for name in ("free", "booked", "quarantined", "retired", "shared")},
        "bookedLastWeek": 1,
        "daysLeft": 42,  # five that are free, and one that comes back before these are used up
    }


def test_the_busiest_bookings_are_listed_by_calls_or_seconds(cli: CliInProcess) -> None:
    first = cli.rows("SELECT id, account_id FROM bookings")[0]
    second = (booked(cli, POOL[1]), first[1])
    cli.json("keys", "create", "ann", "--test")
    sandbox = cli.rows("SELECT id FROM accounts WHERE test_of IS NOT NULL")[0][0]
    now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"
    rows = [
        *((first, POOL[0], "1", duration, further) for duration, further in ((5, 0), (0, 7))),
        *((second, POOL[1], "1", duration, 0) for duration in (60, 0, 30)),
        (first, POOL[0], "25 * 3600000", 900, 0),
        (("bkg_x", sandbox), "+999123456789012", "1", 7_000, 0),
    ]
    for number, ((booking, account), service, ago, duration, further) in enumerate(rows):
        cli.execute(
            "INSERT INTO cdrs (id, account_id, booking_id, call_id, started_at, duration, further_calls, source,"  # noqa: S608
            f" service, destination, disposition) VALUES ('cdr_{number}', '{account}', '{booking}', 'c{number}',"
            f" {now} - {ago}, {duration}, {further}, '', '{service}', '{HIDDEN}', 'ANSWERED')"
        )
    by_calls = cli.json("bookings", "top")
    assert by_calls == [
        {"id": first[0], "account": "ann", "service": POOL[0], "calls": 9, "answeredCalls": 1, "seconds": 5},
        {"id": second[0], "account": "ann", "service": POOL[1], "calls": 3, "answeredCalls": 2, "seconds": 90},
    ]
    assert cli.json("bookings", "top", "--by", "seconds", "--account", "ann") == by_calls[::-1]
    assert cli.json("bookings", "top", "--by", "seconds", "--hours", "26", "--limit", "1")[0]["seconds"] == 905
    assert [each["id"] for each in cli.json("bookings", "top", "--account", "ann (test)")] == ["bkg_x"]


def test_a_caller_is_blocked_and_let_through_again(cli: CliInProcess) -> None:
    booking = cli.rows("SELECT id FROM bookings")[0][0]
    blocked = cli.json("blocked-callers", "add", booking, "+14155550123")
    assert blocked == cli.json("blocked-callers", "add", booking, "+14155550123")
    assert cli.json("explain", booking, "--source", "+14155550123")["reason"] == "caller_blocked"
    assert cli.json("blocked-callers", "list", booking) == [blocked]
    assert "must be an E.164 number" in cli.refused("blocked-callers", "add", booking, "0475")
    cli.json("blocked-callers", "remove", booking, "+14155550123")
    assert cli.json("blocked-callers", "list", booking) == []
    assert "not blocked" in cli.refused("blocked-callers", "remove", booking, "+14155550123")
    assert "there is no such booking" in cli.refused("blocked-callers", "list", "bkg_0")


def test_a_second_rotation_asks_while_the_secret_before_still_signs(cli: CliInProcess) -> None:
    first = cli.json("secrets", "show", "ann")["secret"]
    second = cli.json("secrets", "rotate", "ann")
    assert second["oldSecret"] == first
    cli.typed = "n\n"
    asked = cli("secrets", "rotate", "ann")
    assert asked.returncode == 1
    assert f"signs until {second['oldSecretUntil']}" in asked.stderr
    assert cli.json("secrets", "show", "ann") == second
    third = cli.json("secrets", "rotate", "ann", "--yes", "--overlap", "0s")
    assert third["oldSecret"] is None
    cli.json("secrets", "rotate", "ann")  # nothing old signs, so nothing is asked
