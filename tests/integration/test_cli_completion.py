"""Shell completion is installed and used in a real shell."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT
from tests.integration.cli_runner import CliInProcess

PROGRAM = Path(sys.executable).parent / "rented-numbers"
COMMAND = r"x\$(touch ran)"


def environment(home: Path, **more: str) -> dict[str, str]:
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": path, **more}


def completed(home: Path, typed: str) -> list[str]:
    """Return the completions for what was typed in `home`."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    told = environment(home, _RENTED_NUMBERS_COMPLETE="complete_bash", **words)
    done = subprocess.run([PROGRAM], cwd=home, env=told, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_completion_installs_itself_into_the_current_shell(tmp_path: Path) -> None:
    command = ["/bin/bash", "-c", "rented-numbers --install-completion; exit $?"]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    [script] = (tmp_path / ".bash_completions").iterdir()
    assert str(script) in (tmp_path / ".bashrc").read_text()
    loaded = subprocess.run(
        ["/bin/bash", "-c", f"source {script} && complete -p rented-numbers"], capture_output=True, check=False
    )
    assert loaded.returncode == 0


@pytest.mark.parametrize(
    ("typed", "offered"), [("rented-numbers book", "bookings"), ("rented-numbers bookings sh", "show")]
)
def test_commands_are_completed(tmp_path: Path, typed: str, offered: str) -> None:
    assert completed(tmp_path, typed) == [offered]


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with its two booked numbers, an account whose name is two words, and one whose name is a command."""
    cli = CliInProcess(tmp_path_factory.mktemp("completion"))
    cli.set_up("demo")
    for name in ("Two Words", COMMAND):
        cli.json("accounts", "create", name)
    return cli.directory


def test_accounts_and_rented_numbers_are_completed(with_data: Path) -> None:
    """In one test, because each completion starts a process."""
    cli = CliInProcess(with_data)
    accounts = {row["name"]: row["id"] for row in cli.json("accounts", "list")}
    booked = sorted(row["service"] for row in cli.json("bookings", "list"))
    assert len(booked) == 4
    for typed, offered in (
        ("rented-numbers accounts limits de", ["demo"]),
        ("rented-numbers bookings list --account acc_", sorted(accounts.values())),
        ("rented-numbers explain ", booked),
        (f"rented-numbers cdr list --service {booked[1]}", [booked[1]]),
    ):
        assert sorted(completed(with_data, typed)) == offered, typed
    assert set(completed(with_data, "rented-numbers keys create ")) == {
        *("demo", "softphones"),
        *(accounts["Two Words"], accounts[COMMAND], next(accounts[each] for each in accounts if "test" in each)),
    }


def test_the_name_of_an_account_is_no_command_for_zsh(with_data: Path) -> None:
    """`_arguments` of zsh evaluates what is between the brackets, as bash evaluates an array."""
    asked = {"_RENTED_NUMBERS_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "rented-numbers keys create acc_"}
    told = environment(with_data, **asked)
    done = subprocess.run([PROGRAM], cwd=with_data, env=told, capture_output=True, text=True, timeout=60, check=True)
    words = done.stdout.partition("((")[2].rpartition("))")[0].replace("''", "'")
    assert words.count("acc_") == 5
    subprocess.run(["/bin/bash", "-c", f"words=( {words} )"], cwd=with_data, timeout=60, check=True)
    assert not (with_data / "ran").exists()


def test_without_a_database_nothing_is_offered(tmp_path: Path) -> None:
    assert completed(tmp_path, "rented-numbers explain +32") == []
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"rented-numbers {version('rented-numbers')}\n"
