"""Two PostgreSQL servers: a primary, and a standby without which the primary acknowledges nothing."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP
from typing import Any

import psutil
import psycopg

from cluster.errors import ClusterFailed
from phones import child

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
HOSTS = ("127.0.0.31", "127.0.0.32")
USER, DATABASE = "rented", "rented"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
# Nobody's data has to survive the machine.
OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    # Segments of another type would outlive a server that is killed.
    "dynamic_shared_memory_type=mmap",
    "max_connections=80",
    "wal_keep_size=256MB",
    "wal_retrieve_retry_interval=200ms",
    "unix_socket_directories=",
)


def binaries() -> Path:
    """Returns the directory of PostgreSQL's programs."""
    index = TOOLS / "postgresql.json"
    if not index.exists():
        raise ClusterFailed(f"{index} is missing: run deploy/tools.sh postgresql")
    return TOOLS / str(json.loads(index.read_text())["bin"])


def server_user() -> dict[str, Any]:
    """Returns the arguments with which `subprocess` runs a server: PostgreSQL refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


class Server:
    """One server.

    Attributes:
        host: Its address.
        port: Its port.
    """

    def __init__(self, host: str, port: int, data: Path, log: Path, password: str) -> None:
        self.host, self.port = host, port
        self._data = data
        self._log = log
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    def make_primary(self) -> None:
        """Makes an empty database, which only who knows the password may use."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self._password)
            file.flush()
            if user := server_user():
                shutil.chown(file.name, user["user"], user["group"])
            wanted = (f"--username={USER}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
            self._run("initdb", f"--pgdata={self._data}", f"--pwfile={file.name}", *wanted)
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write(f"host replication {USER} 127.0.0.0/8 scram-sha-256\n")

    def copy_from(self, primary: "Server") -> None:
        """Makes this server's data a copy of the primary's, which follows the primary."""
        shutil.rmtree(self._data, ignore_errors=True)
        address = ("-h", primary.host, "-p", str(primary.port), "-U", USER)
        self._run("pg_basebackup", "-D", str(self._data), "-R", "-c", "fast", "--no-sync", *address)
        # What the primary demands is in the copy, too: once promoted, it would wait for a standby that is gone.
        with (self._data / "postgresql.auto.conf").open("a") as settings:
            settings.write("synchronous_standby_names = ''\n")

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        given = (*OPTIONS, f"listen_addresses={self.host}", f"port={self.port}")
        setpriv = shutil.which("setpriv")
        # A fast shutdown, which does not wait for clients.
        bound = [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []
        command = [*bound, str(binaries() / "postgres"), "-D", str(self._data), *(f"--{each}" for each in given)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **server_user()
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ClusterFailed(f"PostgreSQL does not start:\n{child.tail(self._log)}")
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of its first process."""
        return self._process.pid if self._process else None

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns a connection in which every statement is a transaction."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=self._password,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def stop(self) -> None:
        """Stops it in order."""
        if self._process is not None and self._process.poll() is None:
            self._signal(SIGCONT)
            self._process.send_signal(SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                return
            self.kill()

    def kill(self) -> None:
        """Kills all its processes at once, as the loss of its machine does."""
        if self._process is not None and self._process.poll() is None:
            segment = (self._data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            self._signal(SIGKILL)
            self._process.wait()
            # The one segment that it leaves behind.
            subprocess.run(["/usr/bin/ipcrm", "-m", segment], check=False)

    def suspend(self) -> None:
        """Lets all its processes hang: they keep their connections, and answer nothing."""
        self._signal(SIGSTOP)

    def resume(self) -> None:
        """Lets them go on."""
        self._signal(SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process.pid)
            # The first process first: it would replace the others.
            for each in (first, *first.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)

    def promote(self) -> None:
        """Makes this standby the primary, and waits until it takes writes."""
        self._run("pg_ctl", "promote", "-D", str(self._data), "-w")

    def demand_standby(self, *, wanted: bool = True) -> None:
        """Acknowledges a transaction only when a standby has it, from now on; or again without one."""
        with self.connect("postgres") as server:
            server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{'*' if wanted else ''}'")
            server.execute("SELECT pg_reload_conf()")

    def has_synchronous_standby(self) -> bool:
        """Whether a standby has everything that this primary acknowledges."""
        with self.connect("postgres") as server:
            found = server.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')")
            return found.fetchone() is not None

    def _run(self, program: str, *words: str) -> None:
        environment = {**os.environ, "PGPASSWORD": self._password}
        done = subprocess.run(
            [binaries() / program, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            **server_user(),
        )
        if done.returncode:
            raise ClusterFailed(f"{program}: {done.stderr.strip() or done.stdout.strip()}")


class Pair:
    """A primary and its synchronous standby.

    Attributes:
        primary: The server that takes writes.
        other: The other one: its standby, or the former primary.
    """

    def __init__(self, directory: Path, port: int) -> None:
        """Prepares them.

        Args:
            directory: For their logs, and for the file with their password.
            port: The port of both.
        """
        # The servers' own user must reach it, which the cluster's directory does not allow.
        self._data = Path(tempfile.mkdtemp(prefix="rented-numbers-postgres-"))
        if user := server_user():
            shutil.chown(self._data, user["user"], user["group"])
        password = secrets.token_urlsafe(24)
        self._passfile = directory / "pgpass"
        self._passfile.write_text(f"*:*:*:{USER}:{password}\n")
        self._passfile.chmod(0o600)
        self.primary, self.other = (
            Server(host, port, self._data / f"data{number}", directory / f"postgresql{number}.log", password)
            for number, host in enumerate(HOSTS, 1)
        )

    def start(self) -> None:
        """Makes both and starts them."""
        self.primary.make_primary()
        self.primary.start()
        with self.primary.connect("postgres") as server:
            server.execute(f"CREATE DATABASE {DATABASE}")
        self.follow()

    def follow(self) -> None:
        """Makes the other server a standby, anew, and waits until nothing is acknowledged without it."""
        self.other.stop()
        self.other.copy_from(self.primary)
        self.other.start()
        self.primary.demand_standby()
        deadline = time.monotonic() + START_SECONDS
        while not self.primary.has_synchronous_standby():
            if time.monotonic() > deadline:
                raise ClusterFailed("the standby does not follow the primary")
            time.sleep(0.05)

    def promote(self) -> None:
        """Makes the standby the primary. The former one must be dead, or two would take writes."""
        self.other.promote()
        self.primary, self.other = self.other, self.primary

    def url(self, hosts: str = "") -> str:
        """Returns the address of the database.

        Args:
            hosts: Where both servers are reached, HOST:PORT,HOST:PORT; by default at themselves.
        """
        given = hosts or ",".join(f"{host}:{self.primary.port}" for host in HOSTS)
        return f"postgresql://{USER}@{given}/{DATABASE}?passfile={self._passfile}"

    def remove(self) -> None:
        """Ends both, and removes their data."""
        for server in (self.other, self.primary):
            server.stop()
        shutil.rmtree(self._data, ignore_errors=True)
