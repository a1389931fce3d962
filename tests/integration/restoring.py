"""A system of command line and engine process whose database is backed up, lost, restored and replaced."""

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phones.ports import free_port
from tests.integration.cli_runner import Cli, CliInProcess, wait_until_it_answers

HIDDEN = "+32470123456"
CALLBACK = "https://customer.example/calls"
DATABASE = "rented-numbers.sqlite3"
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Engine:
    """A running engine's process and its API."""

    process: "subprocess.Popen[bytes]"
    port: int
    key: str

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def book(self, destination: str = HIDDEN) -> tuple[int, Any]:
        return self.ask("POST", "/bookings", {"destination": destination, "usagePlan": "SMALL", "callback": CALLBACK})

    def database_state(self) -> str:
        return str(self.ask("GET", "/ready")[1]["parts"]["database"])

    def wait_for_state(self, state: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.database_state() != state:
            assert time.monotonic() < deadline, self.database_state()
            time.sleep(0.05)


class Restorable:
    """A system in a directory, with an account, a key and ten numbers."""

    def __init__(self, directory: Path) -> None:
        self.cli = CliInProcess(directory)
        self.cli.set_up()
        (directory / "pool.csv").write_text("".join(f"+322555010{n}\n" for n in range(10)))
        (directory / "passphrase").write_text(PASSPHRASE + "\n")
        self.cli.json("numbers", "import", "pool.csv")
        self.account = self.cli.json("accounts", "create", "Acme")["id"]
        self.key_id, self.key = self.new_key()

    @property
    def database(self) -> Path:
        return self.cli.data / DATABASE

    def new_key(self) -> tuple[str, str]:
        made = self.cli.json("keys", "create", "Acme")
        return made["id"], made["key"]

    def book(self, destination: str = HIDDEN) -> dict[str, Any]:
        made: dict[str, Any] = self.cli.json(
            "bookings", "create", destination, "--account", "Acme", "--callback", CALLBACK, "--plan", "SMALL"
        )
        return made

    def backup(self, name: str = "saved.backup", *options: str) -> dict[str, Any]:
        made: dict[str, Any] = self.cli.json("backup", name, *options)
        return made

    def restore(self, name: str = "saved.backup", *options: str) -> dict[str, Any]:
        receipt: dict[str, Any] = self.cli.json("restore", name, "--yes", *options)
        return receipt

    @contextmanager
    def engine(self, **environment: str) -> Iterator[Engine]:
        """Runs `serve` as a process. It is killed at the end, if it has not ended."""
        port = free_port()
        settings = self.cli.settings(http_port=str(port), fastagi_port=str(free_port()), ami_port=str(free_port()))
        command = Cli(self.cli.directory).command("serve")
        with (
            (self.cli.directory / "engine.log").open("ab") as log,
            subprocess.Popen(
                command, cwd=self.cli.directory, env=settings | environment, stderr=log, stdout=log
            ) as process,
        ):
            try:
                wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
                yield Engine(process, port, self.key)
            finally:
                process.send_signal(signal.SIGKILL)

    def engine_refused(self) -> str:
        """Starts an engine that must not start, and returns what it says."""
        return Cli(self.cli.directory).refused(
            "serve", http_port=str(free_port()), fastagi_port=str(free_port()), ami_port=str(free_port())
        )

    def copy_by_hand(self) -> Path:
        """Copies the database file as people do, without its log."""
        return Path(shutil.copyfile(self.database, self.cli.directory / "by-hand.sqlite3"))
