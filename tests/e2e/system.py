"""A whole system for tests: a real Asterisk, the engine's process and an account, on free ports of 127.0.0.1."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from engine.asterisk.config_files import AsteriskProgram, find_program, write_own
from engine.calls.end_spool import CURRENT
from engine.config.postgres_address import PostgresAddress
from engine.config.secrets import write_trunk_password
from engine.config.settings import Settings
from engine.local.demo import key_file
from engine.local.processes import Child, LocalAsterisk, engine_command
from engine.local.setup import set_up
from phones.baresip import free_sip_port
from phones.ports import free_port_range, give_back
from tests.e2e import canary
from tests.e2e.api_client import Answer, send
from tests.e2e.booking import Booking, fictional_number
from tests.e2e.environment import as_environment, environ, quick_settings
from tests.postgresql import Outsider

T = TypeVar("T")

# How long a test waits for an event that must happen. This is no performance figure.
READY_SECONDS = 60.0


class System:
    """The system runs inside its `with`. At the end it is stopped and its files are removed."""

    rtp_ports = 250
    up: ClassVar[list["System"]] = []
    """The systems that are running."""
    new_database: ClassVar[Callable[[], str] | None] = None
    """Makes the database of a system that names none, and returns its DATABASE_URL. If None, it is a SQLite file."""

    def __init__(
        self,
        engine_only: Mapping[str, object] | None = None,
        *,
        asterisk_only: Mapping[str, object] | None = None,
        engine_environment: Mapping[str, str] | None = None,
        asterisk_environment: Mapping[str, str] | None = None,
        trunk_passwords: Mapping[str, str] | None = None,
        **overrides: object,
    ) -> None:
        """Prepares a system.

        Args:
            engine_only: Settings that only the engine gets.
            asterisk_only: Settings that only Asterisk's files are written with.
            engine_environment: Further environment variables of the engine.
            asterisk_environment: Further environment variables of Asterisk.
            trunk_passwords: The passwords of trunks, by their names.
            overrides: Settings of the whole system.
        """
        self.trunk_port = free_sip_port()
        # A short path, because the path of Asterisk's socket is limited.
        self.data_dir = Path(tempfile.mkdtemp(prefix="rn-"))
        self._rtp = free_port_range(self.rtp_ports)
        trunk = {} if "trunks" in overrides else {"trunk_uri": f"sip:127.0.0.1:{self.trunk_port}"}
        rtp = {"rtp_start": self._rtp, "rtp_end": self._rtp + self.rtp_ports - 1}
        if System.new_database is not None and "database_url" not in overrides:
            overrides["database_url"] = System.new_database()
        self._environment = as_environment({"data_dir": self.data_dir, **quick_settings(), **rtp, **trunk, **overrides})
        self._engine_only = {**as_environment(engine_only or {}), **(engine_environment or {})}
        self._asterisk_environment = dict(asterisk_environment or {})
        self._asterisk_only = asterisk_only or {}
        self._trunk_passwords = dict(trunk_passwords or {})
        self._runner = asyncio.Runner()
        self._engine: Child | None = None
        self._asterisk: LocalAsterisk | None = None
        self.key = ""
        # All hidden numbers of this system's bookings.
        self.hidden: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with environ(self._environment):
            self.settings = Settings()
        kept = set_up(self.settings, lambda line: None)
        for name, password in self._trunk_passwords.items():
            write_trunk_password(self.data_dir / "secrets", name, password)
        self.key = key_file(self.data_dir).read_text().strip()
        files_of = self.settings.model_copy(update=self._asterisk_only)
        home = write_own(files_of, kept, find_program())
        self.alter(home.etc)
        self._asterisk = LocalAsterisk(self._program(), home)
        self.start_engine()
        self.start_asterisk()
        self.up.append(self)
        self.until(lambda: self.get("/ready").status == 200, "the system is ready")

    def _program(self) -> AsteriskProgram:
        # Asterisk does not inherit the environment.
        program, more = find_program(), self._asterisk_environment
        if not more:
            return program
        return replace(program, command=("env", *(f"{name}={value}" for name, value in more.items()), *program.command))

    def alter(self, etc: Path) -> None:
        """Changes Asterisk's files, in subclasses that break a protection on purpose."""

    def stop(self) -> None:
        """Stops the system, and asserts that no file except the database holds a hidden number."""
        hits: dict[str, list[str]] = {}
        if self in self.up:
            self.up.remove(self)
        try:
            if self._asterisk is not None:
                self._runner.run(self._asterisk.stop())
            self.stop_engine()
            hits = canary.found_in_files(self.data_dir, self.hidden)
        finally:
            self._runner.close()
            give_back(self._rtp, self.rtp_ports)
            shutil.rmtree(self.data_dir, ignore_errors=True)
        assert not hits, f"hidden numbers were left in files:\n{canary.describe(hits)}"

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.settings.sip_port}"

    @property
    def webhook_secret(self) -> str:
        """The secret that signs the demo account's callbacks."""
        with self.database() as database:
            [(secret,)] = database.execute("SELECT webhook_secret FROM accounts WHERE name = 'demo'")
        return str(secret)

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The database; one on a PostgreSQL server as a copy, whose changes are lost."""
        url = self.settings.database_url
        copied = sqlite3.connect(self.settings.database) if url is None else Outsider(PostgresAddress(url)).copied()
        with contextlib.closing(copied):
            yield copied

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Returns the answer to a question about the database."""
        with self.database() as database:
            return question(database)

    def change(self, sql: str, *parameters: object) -> None:
        """Changes the database behind the engine's back."""
        url = self.settings.database_url
        if url is not None:
            Outsider(PostgresAddress(url)).execute(sql, parameters)
            return
        with contextlib.closing(sqlite3.connect(self.settings.database, timeout=5)) as database, database:
            database.execute(sql, parameters)

    @property
    def engine_log(self) -> str:
        return (self.data_dir / "engine.log").read_text()

    def start_engine(self, **more: str) -> None:
        """Starts the engine with further environment variables `more`."""
        with environ({**self._environment, **self._engine_only, **more}):
            starting = Child.start("engine", engine_command(), self.data_dir / "engine.log")
            self._engine = self._runner.run(starting)

    def wait_engine_dead(self, timeout: float = READY_SECONDS) -> None:
        """Waits until the engine has ended by itself."""
        assert self._engine is not None
        self._runner.run(asyncio.wait_for(self._engine.wait(), timeout))
        self._engine = None

    def wait_ready(self) -> None:
        self.until(lambda: self.get("/ready").status == 200, "the system is ready")

    def stop_engine(self) -> None:
        if self._engine is not None:
            self._runner.run(self._engine.stop())
            self._engine = None

    @property
    def has_engine(self) -> bool:
        """Whether an engine was started and has not been stopped, killed or seen dead."""
        return self._engine is not None

    def signal_engine(self, number: signal.Signals) -> None:
        assert self._engine is not None
        os.kill(self._engine.pid, number)

    def kill_engine(self) -> None:
        """Kills the engine with SIGKILL, which has the effect of a crash."""
        assert self._engine is not None
        self._engine.kill()
        self._runner.run(self._engine.wait())
        self._engine = None

    @property
    def engine_pid(self) -> int:
        assert self._engine is not None
        return self._engine.pid

    def spooled(self, booking_id: str) -> list[str]:
        """The ends of a booking's calls that stand in the end spool."""
        try:
            lines = (self.settings.journal / CURRENT).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.split(" ")[2] == booking_id]

    def wait_spooled(self, booking_id: str, calls: int) -> None:
        """Waits until the ends of so many calls are in the end spool. A BYE may be answered a moment earlier."""
        self.until(lambda: len(self.spooled(booking_id)) == calls, f"{calls} ends of calls are spooled")

    @property
    def asterisk_pid(self) -> int:
        assert self._asterisk is not None
        assert self._asterisk.child is not None
        assert self._asterisk.child.running
        return self._asterisk.child.pid

    @property
    def asterisk_log(self) -> str:
        """Asterisk's log file and its console output."""
        log = self.data_dir / "asterisk" / "log"
        files = [log / "messages", log / "console"]  # an engine without an Asterisk of its own has none
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    @property
    def pids(self) -> list[int]:
        """The process ids of the engine and of Asterisk, as far as they were started."""
        children = [self._engine, self._asterisk.child if self._asterisk else None]
        return [child.pid for child in children if child is not None]

    def kill_asterisk(self) -> None:
        """Kills Asterisk with SIGKILL: it sends no BYE, runs no hangup handler, and reports no end."""
        assert self._asterisk is not None
        assert self._asterisk.child is not None
        self._asterisk.child.kill()
        self._runner.run(self._asterisk.child.wait())

    def start_asterisk(self) -> None:
        assert self._asterisk is not None
        self._runner.run(self._asterisk.start())

    def asterisk_console(self, command: str) -> str:
        """Runs a console command of Asterisk and returns its output."""
        assert self._asterisk is not None
        words = [*self._asterisk._program.command, "-C", str(self._asterisk._home.config), "-rx", command]
        return subprocess.run(words, capture_output=True, check=True, text=True, timeout=20).stdout

    # -- the API ----------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    @property
    def address(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.settings.http_port}"

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        every = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return send(method, self.address + path, body, {**every, **(headers or {})})

    def command(self, *words: str) -> Any:
        """Runs a command of the command line and returns its JSON output."""
        done = self._command(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def failure_message(self, *words: str) -> str:
        """Runs a command that must fail, and returns its error text."""
        done = self._command(*words)
        assert done.returncode == 1, done
        return done.stderr

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.program("engine", *words)

    def program(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a Python program with the settings of this system."""
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            env={**os.environ, **self._environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=90,
        )

    def book(self, plan: str = "SMALL", callback: str = "http://127.0.0.1:9/") -> Booking:
        """Makes a booking with a hidden number of its own, so that a search for its digits finds nothing else."""
        destination = fictional_number()
        self.hidden.add(destination)
        answer = self.request(
            "POST", "/bookings", {"destination": destination, "usagePlan": plan, "callback": callback}
        )
        assert answer.status == 201, answer
        return Booking(self, answer.body["id"], answer.body["service"], destination)

    def cdrs(self, service: str) -> list[dict[str, Any]]:
        """Returns the call records of a rented number, newest first."""
        answer = self.get("/cdr?limit=100")
        assert answer.status == 200, answer
        return [cdr for cdr in answer.body["data"] if cdr["service"] == service]

    def until(self, true: Callable[[], bool], what: str, timeout: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}\n{self.engine_log[-3000:]}"
            time.sleep(0.05)
