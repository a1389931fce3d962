"""Run the command line in a directory of its own: as a process (`Cli`), or inside this one (`CliInProcess`)."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from engine.asterisk.config_files import ROOT
from engine.cli import app
from engine.cli.errors import EXPECTED, messages_of

TIMEOUT_SECONDS = 60


class Cli:
    """`cli("numbers", "list")` runs a command in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RENTED_NUMBERS_")}
        self.environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}

    @property
    def data(self) -> Path:
        return self.directory / "var"

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
        """What a command that must succeed printed; nothing else may stand on its standard output."""
        done = self(*arguments, "--json", **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str, **settings: str) -> str:
        """The complaint of a command that must fail as one that was refused, without a traceback."""
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
    """Told by arguments and environment only, like its base; `typed`: what is answered to its questions."""

    typed = ""

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = self.settings(data_dir=str(self.data), **settings)
        done = CliRunner().invoke(app, list(arguments), input=self.typed, env=environment)
        said = done.stderr
        if isinstance(done.exception, EXPECTED):  # as `engine.cli.main` has it
            said += "".join(f"rented-numbers: {line}\n" for line in messages_of(done.exception))
        elif not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, said)


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def wait_until_it_answers(url: str, engine: subprocess.Popen[bytes]) -> None:
    """Wait until the URL answers, with any status."""
    deadline = time.monotonic() + 20
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
