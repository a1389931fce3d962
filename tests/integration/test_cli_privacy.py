"""`rented-numbers privacy erase`, run as a process."""

import json
import subprocess
from pathlib import Path

import pytest

from engine.asterisk.softphones import SOFTPHONES
from engine.domain.numbers import ERASED
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
    counts = json.loads(done.stdout)
    assert (counts["bookings"], counts["calls"], counts["files"]) == (1, 0, 0)
    # The number is not printed.
    assert NUMBER[4:-2] not in done.stdout + done.stderr
    assert cli.rows("SELECT destination FROM bookings WHERE gone_at IS NOT NULL") == [(ERASED,)]
    assert cli.rows("SELECT state FROM numbers WHERE state = 'QUARANTINED'") == [("QUARANTINED",)]
    assert not [path for path in cli.data.rglob("*") if path.is_file() and NUMBER[1:].encode() in path.read_bytes()]
    assert cli.json("ledger", "verify") == []


def test_remaining_traces_are_named_and_the_command_fails(cli: Cli) -> None:
    (cli.data / "notes").write_text(NUMBER)
    done = cli("privacy", "erase", NUMBER, "--yes")
    assert done.returncode == 1
    assert f"still holds it: {cli.data / 'notes'}" in done.stderr
    assert "bookings  1" in done.stdout


def test_erasure_needs_a_confirmation(cli: Cli) -> None:
    assert _answering(cli, "n\n", NUMBER).returncode == 1
    assert cli.rows("SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL") == [(2,)]


def test_a_rented_number_and_a_bad_number_are_refused(cli: Cli) -> None:
    assert "is a rented number" in cli.refused("privacy", "erase", SOFTPHONES[0].rented, "--yes")
    assert "not an E.164 number" in cli.refused("privacy", "erase", "0199004188", "--yes")
