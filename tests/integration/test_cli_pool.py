"""`numbers …`: filtering, quarantine, retirement, and the import with its progress bar."""

import os
import pty
import subprocess

import pytest

from tests.integration.cli_runner import TIMEOUT_SECONDS, Cli
from tests.programs import ended

POOL = ("+3225550001", "+3225550002", "+33199000001")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A system with a pool of three numbers. Each test uses its own number."""
    cli = Cli(tmp_path_factory.mktemp("pool"))
    cli.set_up()
    (cli.directory / "numbers.csv").write_text("".join(f"{number}\n" for number in POOL))
    assert cli("numbers", "import", "numbers.csv").returncode == 0
    return cli


def test_numbers_are_filtered_by_country_and_state(cli: Cli) -> None:
    numbers = cli.json("numbers", "list", "--country", "be", "--state", "free")
    assert [(each["number"], each["country"]) for each in numbers] == [(POOL[0], "BE"), (POOL[1], "BE")]
    assert "is not a country with telephone numbers" in cli.refused("numbers", "list", "--country", "XX")


def test_a_number_is_quarantined_retired_and_restored(cli: Cli) -> None:
    out = cli.json("numbers", "quarantine", POOL[2], "--days", "90")
    assert (out["number"], out["state"]) == (POOL[2], "QUARANTINED")
    retired = cli.json("numbers", "retire", POOL[2])
    assert retired == out | {"state": "RETIRED"}
    assert cli.json("numbers", "list", "--state", "retired") == [retired]
    assert cli.json("numbers", "restore", POOL[2]) == out
    assert "is not retired, but quarantined" in cli.refused("numbers", "restore", POOL[2])


def test_the_forecast_counts_what_returns_from_quarantine(cli: Cli) -> None:
    cli("numbers", "import", "numbers.csv")
    before = cli.json("numbers", "forecast")
    assert [row["inDays"] for row in before] == [0, 1, 2, 7, 14, 30]
    assert before[0] == {"inDays": 0, "free": 2, "returned": 0, "booked": 0, "inQuarantine": 1}
    assert {row["free"] for row in before} == {2}
    cli("numbers", "quarantine", POOL[1], "--days", "5")
    after = cli.json("numbers", "forecast")
    assert [(row["free"], row["returned"]) for row in after] == [(1, 0), (1, 0), (1, 0), (2, 1), (2, 1), (2, 1)]
    assert [row["inDays"] for row in cli.json("numbers", "forecast", quarantine="P3D")] == [0, 1, 2, 3]


def on_a_terminal(cli: Cli, *words: str) -> tuple[int, str, str]:
    """Return the exit status, standard output, and standard error as a terminal receives it."""
    terminal, its_end = pty.openpty()
    with ended(
        subprocess.Popen(
            cli.command(*words),
            cwd=cli.directory,
            env=cli.settings() | {"TERM": "xterm", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=its_end,
        )
    ) as command:
        os.close(its_end)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:
            pass  # Linux reports the closed other end so
        os.close(terminal)
        printed, _ = command.communicate(timeout=TIMEOUT_SECONDS)
    return command.returncode, printed.decode(), shown.decode()


def test_an_import_shows_a_progress_bar_only_on_a_terminal(cli: Cli) -> None:
    for index, words in enumerate(((), ("--json",))):
        (cli.directory / "more.csv").write_text(f"+331990001{index:02}\n")
        status, printed, shown = on_a_terminal(cli, "numbers", "import", "more.csv", *words)
        assert (status, "added" in printed) == (0, True)
        assert ("Reading more.csv" in shown) == (not words)
        assert "Reading" not in printed
