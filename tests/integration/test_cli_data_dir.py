"""The data directory: its owner, one system at a time, and what `clean` deletes."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.config.settings import Settings
from engine.local.data_dir import acting_as_owner, require_database
from engine.runtime.data_files import DataDirUnusable
from phones.ports import free_port
from tests.integration.cli_runner import Cli, contents, wait_until_it_answers
from tests.programs import ended

DATABASE = "rented-numbers.sqlite3"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@contextmanager
def serving(cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    port = free_port()
    settings = cli.settings(http_port=str(port), fastagi_port=str(free_port()), ami_port=str(free_port()))
    with ended(
        subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.DEVNULL)
    ) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", engine)
            yield engine
        finally:
            engine.send_signal(signal.SIGTERM)


def test_a_lost_key_pepper_is_not_silently_replaced(cli: Cli) -> None:
    first = cli("setup")
    assert "ami_secret, key_pepper" in first.stderr
    pepper = cli.data / "secrets" / "key_pepper"
    pepper.unlink()
    for command in ("setup", "run"):
        said = cli.refused(command)
        assert "every API key" in said
        assert str(Path("var/secrets/key_pepper")) in said
        assert not pepper.exists()
    assert "created secrets in var/secrets: key_pepper" in cli("setup", "--new-key-pepper").stderr
    assert pepper.exists()


def test_any_other_lost_secret_is_replaced_and_named(cli: Cli) -> None:
    cli("setup")
    (cli.data / "secrets" / "ami_secret").unlink()
    assert cli("setup").stderr == "rented-numbers: created secrets in var/secrets: ami_secret\n"


def test_a_new_directory_is_private_to_its_owner(cli: Cli) -> None:
    assert cli("setup", data_dir="a/b").returncode == 0
    assert (cli.directory / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_an_existing_directory_keeps_its_mode_and_new_files_are_private(cli: Cli) -> None:
    cli.data.mkdir()
    cli.data.chmod(0o755)
    assert cli("setup", profile="demo").returncode == 0
    assert cli.data.stat().st_mode & 0o777 == 0o755
    assert [path for path in cli.data.rglob("*") if path.stat().st_mode & 0o077] == []


def test_an_unusable_data_directory_is_refused_with_the_reason(cli: Cli) -> None:
    cli.data.mkdir()
    cli.data.chmod(0o775)
    assert "can be written by others" in cli.refused("setup")
    (cli.directory / "file").touch()
    assert "is a file" in cli.refused("setup", data_dir="file")
    assert "part of its path is a file" in cli.refused("setup", data_dir="file/inside")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give directories away")
def test_a_data_directory_of_another_user_is_refused(cli: Cli) -> None:
    cli.data.mkdir()
    os.chown(cli.data, 12345, 12345)
    assert "belongs to another user" in cli.refused("setup")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_an_unreadable_data_directory_is_refused_with_its_owners_name() -> None:
    with tempfile.TemporaryDirectory() as parent:  # not pytest's directory, which other users may not enter
        Path(parent).chmod(0o755)
        data = Path(parent, "var")
        data.mkdir(mode=0o700)
        os.seteuid(12345)
        try:
            with pytest.raises(DataDirUnusable, match="belongs to another user"):
                require_database(Settings(data_dir=data))
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_root_acts_as_the_owner_only_with_a_program_that_the_owner_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, module = tmp_path / "var", tmp_path / "module.py"
    data.mkdir()
    os.chown(data, 12345, 12345)
    module.touch(mode=0o600)
    monkeypatch.setattr("engine.local.data_dir.__file__", str(module))
    said = pytest.raises(DataDirUnusable, match="run the program that the engine's user runs")
    with said, acting_as_owner(Settings(data_dir=data)):
        raise AssertionError("entered")
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_one_system_runs_on_a_data_directory(cli: Cli) -> None:
    cli("setup")
    with serving(cli) as engine:
        for command in ("serve", "run"):
            said = cli.refused(command, http_port=str(free_port()), fastagi_port=str(free_port()))
            assert f"process {engine.pid}" in said
            assert "give it other ports and another RENTED_NUMBERS_DATA_DIR" in said


def test_nothing_is_deleted_while_a_system_runs(cli: Cli) -> None:
    cli("setup")
    with serving(cli):
        assert "a system is already running on var" in cli.refused("clean", "--yes")
        assert (cli.data / DATABASE).exists()
        assert cli.json("accounts", "list") == []


def test_clean_deletes_everything_of_ours_and_a_first_run_follows(cli: Cli) -> None:
    cli("setup", profile="demo")
    assert cli("clean", "--yes").returncode == 0
    assert not cli.data.exists()
    assert cli("clean", "--yes").returncode == 0
    assert cli("setup", profile="demo").returncode == 0


def test_clean_deletes_the_files_of_a_running_system(cli: Cli) -> None:
    cli("setup", profile="demo")
    with serving(cli):
        pass
    secrets = ("secrets/agi_token.second", "secrets/trunk_password.main")
    for name in ("security.log.1", "control.sock", *secrets, "journal/ends", "journal/ends.old"):
        (cli.data / name).parent.mkdir(exist_ok=True)
        (cli.data / name).write_text("")
    assert (cli.data / "security.log").exists()
    assert cli("clean", "--yes").returncode == 0
    assert not cli.data.exists()


def test_clean_never_deletes_foreign_files(cli: Cli) -> None:
    cli("setup")
    for name in ("letters.txt", "secrets/mine", "journal/notes.txt", "asterisk/mine"):
        (cli.data / name).parent.mkdir(exist_ok=True)
        (cli.data / name).write_text("mine")
    said = cli("clean", "--yes").stderr
    assert set(contents(cli.data).values()) == {b"mine"}
    assert len(contents(cli.data)) == 4
    assert "asterisk, journal, letters.txt, secrets" in said


def test_clean_does_not_touch_a_directory_without_a_system(cli: Cli) -> None:
    cli.data.mkdir()
    assert cli("clean", "--yes").returncode == 0
    assert list(cli.data.iterdir()) == []


def test_clean_asks_before_it_deletes(cli: Cli) -> None:
    cli("setup")
    assert cli("clean").returncode == 1
    assert (cli.data / DATABASE).exists()


@pytest.mark.parametrize("command", [("setup",), ("serve",), ("accounts", "list")])
def test_a_file_that_is_not_a_database_is_reported_in_one_line(cli: Cli, command: tuple[str, ...]) -> None:
    cli("setup")
    (cli.data / DATABASE).write_bytes(b"not a database" * 100)
    said = cli.refused(*command, http_port=str(free_port()), fastagi_port=str(free_port()))
    assert said == f"rented-numbers: var/{DATABASE}: file is not a database\n"


def test_a_database_of_a_newer_version_is_refused(cli: Cli) -> None:
    cli("setup")
    cli.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "made by a newer version" in cli.refused("setup")
