"""The command line: set-up, the import of numbers, and the start of the engine."""

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.keys import LIVE_PREFIX, TEST_PREFIX
from engine.bookings.number_pool import MAX_REPORTED
from phones.ports import free_port
from tests.integration.cli_runner import Cli, CliInProcess, contents, wait_until_it_answers
from tests.programs import ended


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> CliInProcess:
    return CliInProcess(tmp_path)


@pytest.fixture
def load(here: CliInProcess) -> Callable[[bytes], subprocess.CompletedProcess[str]]:
    """Import a file with the given content."""
    here.set_up()

    def run(content: bytes) -> subprocess.CompletedProcess[str]:
        (here.directory / "numbers.csv").write_bytes(content)
        return here("numbers", "import", "numbers.csv")

    return run


@pytest.mark.parametrize("profile", ["production", "demo"])
def test_a_second_setup_changes_nothing(cli: Cli, profile: str) -> None:
    assert cli("setup", profile=profile).returncode == 0
    before, made = contents(cli.data / "secrets"), cli.numbers()
    again = cli("setup", profile=profile)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (contents(cli.data / "secrets"), cli.numbers()) == (before, made)
    assert len(cli.rows("SELECT id FROM api_keys")) == (2 if profile == "demo" else 0)


@pytest.mark.parametrize(("name", "prefix"), [("api-key", LIVE_PREFIX), ("test-key", TEST_PREFIX)])
def test_setup_replaces_a_lost_demo_key_and_never_shows_it(cli: Cli, name: str, prefix: str) -> None:
    cli("setup", profile="demo")
    file = cli.data / "demo" / name
    first = file.read_text()
    file.unlink()
    done = cli("setup", profile="demo")
    assert file.read_text() not in {first, ""}
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith(prefix)
    assert prefix not in done.stdout + done.stderr


def test_setup_for_production_creates_no_account_and_no_number(cli: Cli) -> None:
    cli("setup")
    assert cli.rows("SELECT (SELECT COUNT(*) FROM accounts), (SELECT COUNT(*) FROM numbers)") == [(0, 0)]


@pytest.mark.parametrize(
    "command",
    [
        ("accounts", "create", "ann"),
        ("accounts", "list"),
        ("keys", "create", "ann"),
        ("numbers", "list"),
        ("ledger", "verify"),
        ("asterisk-config", "."),
    ],
)
def test_a_command_in_another_directory_creates_no_new_system(here: CliInProcess, command: tuple[str, ...]) -> None:
    assert "no database in var: run in the project's directory, or set RENTED_NUMBERS_DATA_DIR" in here.refused(
        *command
    )
    assert not here.data.exists()


@pytest.mark.parametrize(
    ("content", "added"),
    [
        (b"+3225550001\n+3225550002\n", 2),
        (b"+3225550001\r\n+3225550002", 2),
        (b"number\n+3225550001\n", 1),
        (b"E164,comment\n+3225550001,mine\n", 1),
        (b"\xef\xbb\xbf+3225550001\n", 1),
        (b"\xef\xbb\xbfnumbers\n+3225550001\n", 1),
        (b"003225550001\n3225550002\n", 2),
        (b'\n\n"+3225550001",x\n  \n', 1),
    ],
)
def test_a_good_file_is_imported_in_any_format(here: CliInProcess, load: Any, content: bytes, added: int) -> None:
    done = load(content)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["added", str(added)]
    assert here.numbers() == ["+3225550001", "+3225550002"][:added]


def test_bad_lines_are_listed_by_number_and_nothing_is_imported(here: CliInProcess, load: Any) -> None:
    done = load(b"number\n+3225550001\nnot a number\n\n+1\n+3225550001\n\xd9\xa3\xd9\xa2\nnumber\n")
    assert done.returncode == 1
    assert [line.removeprefix("rented-numbers: ") for line in done.stderr.splitlines()] == [
        "line 3: 'not a number' is not an E.164 number, such as +3225550000",
        "line 5: '+1' is not an E.164 number, such as +3225550000",
        "line 6: +3225550001 is already in line 2",
        "line 7: '٣٢' is not an E.164 number, such as +3225550000",
        "line 8: 'number' is not an E.164 number, such as +3225550000",
        "nothing was imported",
    ]
    assert here.numbers() == []


def test_a_known_number_is_named_and_nothing_is_imported(here: CliInProcess, load: Any) -> None:
    load(b"+3225550001\n")
    done = load(b"+3225550002\n3225550001\n")
    assert "line 2: +3225550001 is already in the pool" in done.stderr
    assert here.numbers() == ["+3225550001"]


def test_the_first_of_many_bad_lines_are_listed_and_the_rest_counted(load: Any) -> None:
    done = load(b"x\n" * 1000)
    assert len(done.stderr.splitlines()) == MAX_REPORTED + 2
    assert f"… and {1000 - MAX_REPORTED} more\n" in done.stderr


NOT_UTF_8, NO_NUMBER = "is not a CSV file in UTF-8", "rented-numbers: there is no number in numbers.csv\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"+3225550001\n\xff\xfe\n", NOT_UTF_8),
        ("+3225550001\n".encode("utf-16"), NOT_UTF_8),
        (b"", NO_NUMBER),
        (b"\n\n", NO_NUMBER),
        (b"number\n", NO_NUMBER),
    ],
)
def test_a_file_that_is_not_utf_8_or_has_no_number_is_refused(
    here: CliInProcess, load: Any, content: bytes, complaint: str
) -> None:
    done = load(content)
    assert done.returncode == 1
    assert done.stderr == complaint if complaint == NO_NUMBER else complaint in done.stderr
    assert here.numbers() == []


def test_a_missing_file_is_named(here: CliInProcess) -> None:
    assert "nowhere.csv" in here.refused("numbers", "import", "nowhere.csv")
    assert "Is a directory" in here.refused("numbers", "import", ".")


def test_numbers_are_listed_with_their_state_and_can_be_filtered_by_it(here: CliInProcess) -> None:
    here.set_up("demo")
    numbers = here.json("numbers", "list")
    assert [each["number"] for each in numbers] == here.numbers()
    assert set(numbers[0]) == {"number", "state", "country", "idleSince", "quarantinedUntil", "quarantinedBy"}
    for state, count in (("booked", 3), ("FREE", 100), ("quarantined", 0)):
        chosen = here.json("numbers", "list", "--state", state)
        assert [each["state"] for each in chosen] == [state.upper()] * count
    assert here("numbers", "list", "--state", "lost").returncode == 2


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda secret: secret.unlink(), "is missing"),
        (lambda secret: secret.write_text("changeme"), "default or too weak"),
        (lambda secret: secret.chmod(0o644), "can be read by others"),
    ],
)
def test_the_engine_does_not_start_with_a_bad_secret(cli: Cli, spoil: Callable[[Path], None], complaint: str) -> None:
    cli.set_up()
    spoil(cli.data / "secrets" / "ami_secret")
    said = cli.refused("serve", http_port=str(free_port()), fastagi_port=str(free_port()))
    assert complaint in said
    assert str(Path("var/secrets/ami_secret")) in said


def test_the_engine_names_a_taken_port(cli: Cli) -> None:
    cli.set_up()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli.refused("serve", http_port=str(port), fastagi_port=str(free_port()))
    assert said == f"rented-numbers: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_engine_serves_without_asterisk_and_stops_cleanly(cli: Cli, number: signal.Signals) -> None:
    cli.set_up()
    port = free_port()
    settings = cli.settings(http_port=str(port), fastagi_port=str(free_port()), ami_port=str(free_port()))
    with ended(
        subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.PIPE)
    ) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", engine)
            engine.send_signal(number)
            _, log = engine.communicate(timeout=10)
        finally:
            engine.kill()
    assert engine.returncode == 0, log
    assert b"engine_down" in log
    assert b"Traceback" not in log
