"""`rented-numbers privacy erase`, run as a process."""

import json
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from engine.asterisk.softphones import SOFTPHONES
from engine.domain.numbers import ERASED
from engine.runtime import failpoints
from tests.contract.test_migrations import insert
from tests.integration.cli_runner import TIMEOUT_SECONDS, Cli

NUMBER = SOFTPHONES[0].number


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    cli.set_up("demo")
    return cli


def _answering(cli: Cli, answers: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        cli.command("privacy", "erase", *arguments),
        cwd=cli.directory,
        env=cli.settings(),
        input=answers,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_a_number_is_found_and_erased_and_the_ledger_balances(cli: Cli) -> None:
    done = _answering(cli, f"{NUMBER}\ny\n", "--json")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    removed = receipt["removed"]
    assert (removed["bookings"], removed["calls"], removed["files"]) == (1, 0, 0)
    [searched] = [each for each in receipt["searched"]["tables"] if each["table"] == "bookings"]
    columns = ["destination", "partner", "callback", "label", "destination_label", "partner_label", "metadata"]
    assert searched == {"table": "bookings", "columns": columns, "rows": 4}
    assert receipt["searched"]["files"] > 3
    assert (receipt["remaining"], receipt["unsure"], receipt["unsure_count"]) == ([], [], 0)
    assert receipt["unreachable"]["receivers"] == []
    # The number is not printed.
    assert NUMBER[4:-2] not in done.stdout + done.stderr
    assert cli.rows("SELECT destination FROM bookings WHERE gone_at IS NOT NULL") == [(ERASED,)]
    assert cli.rows("SELECT state FROM numbers WHERE state = 'QUARANTINED'") == [("QUARANTINED",)]
    assert not _holding(cli)
    assert cli.json("ledger", "verify") == []


def test_remaining_traces_are_named_and_the_command_fails(cli: Cli) -> None:
    (cli.data / "notes").write_text(NUMBER)
    done = cli("privacy", "erase", NUMBER, "--yes")
    assert done.returncode == 1
    assert f"still holds it: {cli.data / 'notes'}" in done.stderr
    assert "bookings  1" in done.stdout


def test_similar_digits_are_listed_and_the_command_fails(cli: Cli) -> None:
    spelled = f"{NUMBER[:3]} {NUMBER[3:6]} {NUMBER[6:]}"
    _label(cli, f"{spelled}, order 99{NUMBER[1:]}7")
    (cli.data / "old.backup").write_bytes(b"rented-numbers encrypted 1\n")
    done = cli("privacy", "erase", NUMBER, "--yes", "--json")
    receipt = json.loads(done.stdout)
    assert (done.returncode, receipt["remaining"], receipt["unsure_count"]) == (1, [], 1)
    [unsure] = receipt["unsure"]
    assert (unsure["table"], unsure["column"], unsure["row"][:4]) == ("bookings", "label", "bkg_")
    assert receipt["unreachable"]["backups"] == [str(cli.data / "old.backup")]
    assert "unsure, look at it yourself: bookings.label of bkg_" in done.stderr
    assert NUMBER[3:] not in done.stdout + done.stderr
    assert cli.rows("SELECT label FROM bookings WHERE label <> ''") == [(f"erased, order 99{NUMBER[1:]}7",)]


@pytest.mark.parametrize("kill_after", [1, 4, 7])
def test_an_erasure_that_was_killed_is_finished_by_the_next_one(cli: Cli, kill_after: int) -> None:
    _label(cli, f"Ann 00{NUMBER[1:]}")
    with sqlite3.connect(cli.data / "rented-numbers.sqlite3") as database:
        insert(database, "cdrs", id="cdr_x", call_id="x", source=NUMBER)
        insert(database, "callback_endpoints", id="ep_x", url=f"https://customer.example/{NUMBER}")
    killed = subprocess.run(
        cli.command("privacy", "erase", NUMBER, "--yes"),
        cwd=cli.directory,
        env=cli.settings() | {failpoints.VARIABLE: f"erase_some committed:{kill_after}"},
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert _holding(cli)
    done = cli("privacy", "erase", NUMBER, "--yes")
    assert done.returncode == 0, done.stderr
    assert not _holding(cli)
    assert cli.json("ledger", "verify") == []


def _label(cli: Cli, label: str) -> None:
    with sqlite3.connect(cli.data / "rented-numbers.sqlite3") as database:
        database.execute("UPDATE bookings SET label = ? WHERE id = (SELECT MAX(id) FROM bookings)", (label,))


def _holding(cli: Cli) -> list[str]:
    files = (path for path in cli.data.rglob("*") if path.is_file())
    return [path.name for path in files if NUMBER[1:].encode() in path.read_bytes()]


def test_erasure_needs_a_confirmation(cli: Cli) -> None:
    assert _answering(cli, "n\n", NUMBER).returncode == 1
    assert cli.rows("SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL") == [(4,)]


def test_a_rented_number_and_a_bad_number_are_refused(cli: Cli) -> None:
    assert "is a rented number" in cli.refused("privacy", "erase", SOFTPHONES[0].rented, "--yes")
    assert "not an E.164 number" in cli.refused("privacy", "erase", "0199004188", "--yes")
