"""Run the command line in a directory of its own: as a process (`Cli`), or inside this one (`CliInProcess`)."""

import atexit
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import chdir, closing
from functools import cache
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from engine.asterisk.config_files import ROOT
from engine.cli import app
from engine.cli.errors import EXPECTED, messages_of

TIMEOUT_SECONDS = 60


class Cli:
    """Runs each command as a process, in a directory of its own: `cli("numbers", "list")`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RENTED_NUMBERS_")}
        self.environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
        # One address for all engines would be taken.
        self.environment["RENTED_NUMBERS_METRICS_ADDRESS"] = ""

    @property
    def data(self) -> Path:
        return self.directory / "var"

    def set_up(self, profile: str = "production") -> None:
        """Put a system into the directory as `setup` makes it. Made once and copied, since `setup` takes seconds."""
        shutil.copytree(_system_after_setup(profile), self.data)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "engine", *arguments]

    def settings(self, **settings: str) -> dict[str, str]:
        return self.environment | {f"RENTED_NUMBERS_{name.upper()}": value for name, value in settings.items()}

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.settings(**settings),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def json(self, *arguments: str, **settings: str) -> Any:
        """Run a command that must succeed, and return the JSON that it prints: its whole standard output."""
        done = self(*arguments, "--json", **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str, **settings: str) -> str:
        """Run a command that must be refused, without a traceback, and return its error text."""
        done = self(*arguments, **settings)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr.startswith("rented-numbers: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.data / "rented-numbers.sqlite3")) as database:
            return database.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        with closing(sqlite3.connect(self.data / "rented-numbers.sqlite3")) as database, database:
            database.execute(sql)

    def numbers(self) -> list[str]:
        return [number for (number,) in self.rows("SELECT e164 FROM numbers ORDER BY e164")]


class CliInProcess(Cli):
    """Runs each command inside this process, for tests that run many: a process costs half a second.

    Attributes:
        typed: The answers to the questions that a command asks on standard input.
    """

    typed = ""

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        with chdir(self.directory):
            done = CliRunner().invoke(app, list(arguments), input=self.typed, env=self.settings(**settings))
        stderr = done.stderr
        if isinstance(done.exception, EXPECTED):  # engine.cli.main prints it so
            stderr += "".join(f"rented-numbers: {line}\n" for line in messages_of(done.exception))
        elif not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, stderr)


@cache
def _system_after_setup(profile: str) -> Path:
    """The data directory of a system after `setup`. It is deleted when the tests end."""
    directory = Path(tempfile.mkdtemp(prefix="rented-numbers-"))
    atexit.register(shutil.rmtree, directory)
    cli = Cli(directory)
    done = cli("setup", profile=profile)
    assert done.returncode == 0, done.stderr
    return cli.data


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def wait_until_it_answers(url: str, engine: subprocess.Popen[bytes]) -> None:
    """Wait until the URL answers, with any status."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and engine.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  a URL of ours
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{url} does not answer")
