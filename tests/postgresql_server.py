"""PostgreSQL servers of the tests' own, from what deploy/tools.sh finds or brings: one, or a primary with a standby."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cluster.postgresql import binaries, server_user
from engine.config.postgres_address import PostgresAddress
from tests.programs import ended

PATIENCE_SECONDS = 60.0
_LASTING: dict[PostgresAddress, psycopg.Connection[dict[str, Any]]] = {}
# Nothing has to survive the test. The server listens on a socket in its directory only.
OPTIONS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=32MB",
    "max_connections=80",
)


@contextmanager
def postgres_server(*options: str) -> Iterator[PostgresAddress]:
    """Runs a server. Yields the address of its database `postgres`."""
    with _directory() as directory:
        _make_cluster(directory)
        with _running(directory, *options) as server:
            yield server.address
            _disconnect()


def database_named(address: PostgresAddress, name: str) -> PostgresAddress:
    """Makes an empty database on the server of another one."""
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    return PostgresAddress(re.sub(r"/\w+\?", f"/{name}?", address, count=1))


def lasting_connection(address: PostgresAddress) -> psycopg.Connection[dict[str, Any]]:
    """Returns a connection that stays until the server ends: a new one costs more than what a test asks."""
    found = _LASTING.get(address)
    if found is None or found.closed:
        found = _LASTING[address] = psycopg.connect(address, autocommit=True, row_factory=dict_row)
    return found


class Pair:
    """A primary with a synchronous standby: every COMMIT that was answered is on both.

    Attributes:
        address: Both hosts' database `postgres`; a connection leads to the one that takes writes.
    """

    def __init__(self, primary: "_Server", standby: "_Server") -> None:
        self._primary = primary
        self._standby = standby
        hosts = f"{primary.directory},{standby.directory}"
        self.address = PostgresAddress(f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write")
        self._wait_synchronous()

    def kill_primary(self) -> None:
        """Ends all processes of the primary at once, as the loss of its machine would."""
        self._primary.kill()

    def promote(self) -> None:
        """Makes the standby the primary. Returns when it takes writes."""
        with psycopg.connect(self._standby.address, autocommit=True) as standby:
            assert standby.execute("SELECT pg_promote()").fetchone() == (True,)

    def _wait_synchronous(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with psycopg.connect(self._primary.address, autocommit=True) as primary:
            while primary.execute("SELECT sync_state FROM pg_stat_replication").fetchall() != [("sync",)]:
                assert time.monotonic() < deadline, self._standby.log.read_text()
                time.sleep(0.02)


@contextmanager
def postgres_pair() -> Iterator[Pair]:
    """Runs a primary and its synchronous standby."""
    with _directory() as one, _directory() as other:
        _make_cluster(one)
        # The standby begins as a copy of a cluster that has never run, and reads the rest from the primary.
        subprocess.run(["/bin/cp", "-a", one / "data", other / "data"], check=True)
        (other / "data" / "standby.signal").touch()
        # Segments of another type would outlive a server that is killed. A standby allows no fewer connections than
        # its cluster was made for.
        shared = ("synchronous_commit=on", "dynamic_shared_memory_type=mmap", "max_connections=100")
        with (
            _running(one, *shared, "synchronous_standby_names=*") as primary,
            _running(other, *shared, f"primary_conninfo=host={one} user=postgres") as standby,
        ):
            yield Pair(primary, standby)
            _disconnect()


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rented-numbers-postgres-") as name:
        user = server_user()
        if user:
            shutil.chown(name, user["user"], user["group"])
        yield Path(name)


def _make_cluster(directory: Path) -> None:
    wanted = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    command: list[str | Path] = [binaries() / "initdb", f"--pgdata={directory / 'data'}", *wanted]
    made = subprocess.run(command, capture_output=True, check=False, cwd="/", **server_user())
    assert made.returncode == 0, made.stderr.decode()


@contextmanager
def _running(directory: Path, *options: str) -> Iterator["_Server"]:
    settings = [f"--{option}" for option in (*OPTIONS, f"unix_socket_directories={directory}", *options)]
    command: list[str | Path] = [binaries() / "postgres", "-D", directory / "data", *settings]
    log = directory / "log"
    with (
        log.open("wb") as output,
        ended(subprocess.Popen(command, stdout=output, stderr=output, cwd="/", **server_user())) as process,
    ):
        server = _Server(directory, process)
        server.wait_ready()
        yield server
        process.send_signal(signal.SIGINT)  # it does not wait for its clients then


class _Server:
    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]") -> None:
        self.directory = directory
        self.log = directory / "log"
        self.address = PostgresAddress(f"postgresql://postgres@/postgres?host={directory}")
        self._process = process

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                psycopg.connect(self.address).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Ends its processes. Those that serve connections would go on for a while if it died alone."""
        pid = self._process.pid
        self._process.send_signal(signal.SIGSTOP)  # it starts no more
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
        segment = (self.directory / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        self._process.kill()
        self._process.wait()
        subprocess.run(["/usr/bin/ipcrm", "-m", segment], check=True)


def _disconnect() -> None:
    for connection in _LASTING.values():
        connection.close()
    _LASTING.clear()
