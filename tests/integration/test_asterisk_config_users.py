"""`asterisk-config` run by each user that an installation has: Asterisk and the engine can read what it writes.

The users are numbers, which need no entry in the machine's list of users. Only root can act as another user.
"""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT
from tests.unit.test_asterisk_files import DROP_INS

SETPRIV = shutil.which("setpriv")
PACKAGES = {"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"}
STRANGER, ENGINE, ASTERISK = 12301, 12302, 12303


@dataclass(frozen=True)
class User:
    """A user with its group, which has the same number, and further groups."""

    uid: int
    groups: tuple[int, ...] = ()

    def run(self, *command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        groups = ["--groups", ",".join(map(str, self.groups))] if self.groups else ["--clear-groups"]
        return subprocess.run(
            [str(SETPRIV), "--reuid", str(self.uid), "--regid", str(self.uid), *groups, *map(str, command)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **settings},
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )

    def can_read(self, path: Path) -> bool:
        return self.run("cat", path).returncode == 0


@cache
def python() -> str | None:
    """A Python that every user can read and that has our packages; None if there is none, or we are not root."""
    if os.geteuid() != 0 or SETPRIV is None:
        return None
    for program in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        # `env` starts it: setpriv itself still has rights of root when it starts a program.
        done = User(ENGINE).run("env", program, "-c", "import os, engine.cli.system; print(os.__file__)", **PACKAGES)
        if done.returncode == 0 and User(ENGINE).can_read(Path(done.stdout.strip())):
            return program
    return None


pytestmark = pytest.mark.skipif(
    python() is None, reason="needs root, setpriv, and a Python and a checkout that every user can read"
)
ROOT_USER, NOBODY = User(0), User(STRANGER)


@dataclass(frozen=True)
class Installation:
    """Asterisk's directory, which belongs to Asterisk's user, and the data directory of the engine's user."""

    base: Path

    @property
    def etc(self) -> Path:
        return self.base / "etc"

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    def command(self, user: User, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return user.run(str(python()), "-m", "engine", *words, RENTED_NUMBERS_DATA_DIR=str(self.data), **PACKAGES)

    def written(self, user: User, *words: str | Path) -> list[str]:
        """Runs `asterisk-config`, which must succeed, and returns the steps that it prints."""
        done = self.command(user, "asterisk-config", self.etc, *words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


def owners(paths: list[Path]) -> set[tuple[int, int, int]]:
    """User, group and mode of each file."""
    return {((each := path.stat()).st_uid, each.st_gid, stat.S_IMODE(each.st_mode)) for path in paths}


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """The data directory of a system that the engine's user has set up."""
    with tempfile.TemporaryDirectory(prefix="rn-") as directory:
        os.chown(directory, ENGINE, ENGINE)
        installation = Installation(Path(directory))
        assert installation.command(User(ENGINE), "setup").returncode == 0
        yield installation.data


@pytest.fixture
def installed(database: Path) -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="rn-") as directory:  # not pytest's, which other users may not enter
        installation = Installation(Path(directory))
        installation.base.chmod(0o755)
        shutil.copytree(database, installation.data)
        for path in (installation.data, *installation.data.rglob("*")):
            os.chown(path, ENGINE, ENGINE)
        installation.etc.mkdir(mode=0o750)
        os.chown(installation.etc, ASTERISK, ASTERISK)
        for name in ("asterisk.conf", "extensions.conf", "manager.conf", "pjsip.conf"):
            (installation.etc / name).write_text("[general]\n")
            (installation.etc / name).chmod(0o640)
            os.chown(installation.etc / name, ASTERISK, ASTERISK)
        yield installation


def check_readable(installed: Installation) -> None:
    """Asterisk can read our files, the engine its data, and no stranger any of them."""
    files = [installed.etc / name for name in DROP_INS]
    assert all(User(ASTERISK).can_read(path) for path in files)
    assert not any(NOBODY.can_read(path) for path in files)
    secrets = list(installed.secrets.iterdir())
    assert {uid for uid, _, _ in owners(list(installed.data.rglob("*")))} == {ENGINE}
    assert all(User(ENGINE).can_read(path) for path in secrets)
    assert not any(User(ASTERISK).can_read(path) or NOBODY.can_read(path) for path in secrets)


def test_root_writes_for_asterisk_and_makes_tokens_for_the_engine(installed: Installation) -> None:
    installed.written(ROOT_USER)
    steps = installed.written(ROOT_USER, "--name", "second")
    assert steps[-1] == "Before that, start the engine again: it does not know the token of second yet"
    assert owners([installed.etc / name for name in DROP_INS]) == {(ASTERISK, ASTERISK, 0o640)}
    assert owners([installed.secrets / "agi_token.second"]) == {(ENGINE, ENGINE, 0o600)}
    check_readable(installed)


def test_what_root_writes_is_for_the_user_that_asterisk_conf_names(installed: Installation) -> None:
    """Files that all may read do not say as whom Asterisk runs."""
    for path in installed.etc.iterdir():
        os.chown(path, 0, 0)
        path.chmod(0o644)
    (installed.etc / "asterisk.conf").write_text("[options]\nrunuser = daemon\nrungroup = games\n")
    installed.written(ROOT_USER)
    [(uid, gid, mode)] = owners([installed.etc / name for name in DROP_INS])
    assert (installed.etc / DROP_INS[0]).owner() == "daemon"
    assert (installed.etc / DROP_INS[0]).group() == "games"
    assert mode == 0o640
    assert 0 not in {uid, gid}


def test_doctor_as_root_leaves_the_data_directory_to_its_owner(installed: Installation) -> None:
    done = installed.command(ROOT_USER, "doctor", "--json")
    assert '"part": "ledger"' in done.stdout, done
    assert {uid for uid, _, _ in owners(list(installed.data.rglob("*")))} == {ENGINE}


def test_the_engines_user_is_told_what_to_do_where_it_may_not_write(installed: Installation) -> None:
    for words in ((), ("--name", "second")):
        done = installed.command(User(ENGINE), "asterisk-config", installed.etc, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "run this command as root, or add  --output DIR" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (installed.secrets / "agi_token.second").exists()


def test_the_engines_user_writes_elsewhere_and_root_copies(installed: Installation) -> None:
    output = installed.data / "for-asterisk"
    steps = installed.written(User(ENGINE), "--output", output)
    assert owners([output / name for name in DROP_INS]) == {(ENGINE, ENGINE, 0o600)}
    [copy] = [step.removeprefix("As root: ") for step in steps if step.startswith("As root: install ")]
    assert ROOT_USER.run(*copy.split()).returncode == 0
    assert owners([installed.etc / name for name in DROP_INS]) == {(ASTERISK, ASTERISK, 0o640)}
    check_readable(installed)
    assert not [step for step in installed.written(ROOT_USER, "--output", output) if step.startswith("As root")]


def test_the_engines_user_in_asterisks_group_writes_for_that_group(installed: Installation) -> None:
    member = User(ENGINE, (ASTERISK,))
    assert "may not write in" in installed.command(member, "asterisk-config", installed.etc).stderr
    installed.etc.chmod(0o770)
    installed.written(member)
    assert owners([installed.etc / name for name in DROP_INS]) == {(ENGINE, ASTERISK, 0o640)}
    check_readable(installed)


def test_files_that_asterisk_could_not_read_are_not_written(installed: Installation) -> None:
    installed.etc.chmod(0o777)
    for path in installed.etc.iterdir():
        path.chmod(0o644)
    done = installed.command(User(ENGINE), "asterisk-config", installed.etc)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Asterisk's files belong to {ASTERISK}:{ASTERISK}, who could not read what this user writes" in done.stderr
    assert not [name for name in DROP_INS if (installed.etc / name).exists()]
