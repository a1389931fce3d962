"""Two PostgreSQL servers that Patroni runs with deploy/patroni/patroni.yml, and the etcd that it needs."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP
from typing import Any

import psutil
import psycopg
import yaml  # type: ignore[import-untyped]  # it has no types

from cluster.errors import ClusterFailed
from cluster.postgresql import DATABASE, HOSTS, TOOLS, USER, Pair, Server, binaries, server_user
from phones import child
from phones.ports import free_port

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "patroni" / "patroni.yml"
ETCD = "127.0.0.41"
READY_SECONDS = 90.0
# Patroni promotes a standby when it has heard nothing of the primary for so long. So says deploy/patroni/patroni.yml.
TTL_SECONDS = 20.0
STOP_SECONDS = 20.0
# What only a trial needs: its data need not survive the machine.
PARAMETERS = {
    "fsync": "off",
    "shared_buffers": "32MB",
    # Segments of another type would outlive a server that is killed.
    "dynamic_shared_memory_type": "mmap",
    "unix_socket_directories": "",
}


class Ports:
    """The ports of all parts."""

    def __init__(self, postgresql: int) -> None:
        self.postgresql, self.api, self.etcd, self.peers = postgresql, free_port(), free_port(), free_port()


class Member(Server):
    """A machine with Patroni, and the server that it runs.

    Attributes:
        name: Its name in Patroni.
        config: Patroni's settings.
        environment: Patroni's environment, with the passwords.
    """

    def __init__(self, number: int, ports: Ports, directory: Path, logs: Path, passwords: dict[str, str]) -> None:
        self.name = f"db{number}"
        data, log = directory / self.name, logs / f"patroni{number}.log"
        super().__init__(HOSTS[number - 1], ports.postgresql, data, log, passwords["SUPERUSER"])
        self._api = f"{self.host}:{ports.api}"
        self.config = directory / f"{self.name}.yml"
        self.config.write_text(yaml.safe_dump(self._configuration(ports)))
        self.environment = os.environ | {f"PATRONI_{name}_PASSWORD": given for name, given in passwords.items()}

    def _configuration(self, ports: Ports) -> dict[str, Any]:
        """Returns the example, with the addresses and directories of the trial."""
        found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
        server = f"{self.host}:{self.port}"
        found["name"] = self.name
        found["restapi"] |= {"listen": self._api, "connect_address": self._api}
        found["etcd3"] = {"hosts": [f"{ETCD}:{ports.etcd}"]}
        found["postgresql"] |= {
            "listen": server,
            "connect_address": server,
            "data_dir": str(self._data),
            "bin_dir": str(binaries()),
            "pgpass": f"{self._data}.pgpass",
            "pg_hba": [_on_loopback(line) for line in found["postgresql"]["pg_hba"]],
            "parameters": found["postgresql"]["parameters"] | PARAMETERS,
        }
        found["watchdog"] = {"mode": "off"}
        return found

    def start(self) -> None:
        """Starts Patroni, which starts the server."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [TOOLS / "bin" / "patroni", self.config],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env=self.environment,
                **server_user(),
            )

    def wait_until(self, word: str) -> None:
        """Waits until Patroni says that its server is `primary` or `synchronous`."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._says(word):
            if time.monotonic() > deadline:
                raise ClusterFailed(f"{self.name} is not {word}:\n{child.tail(self._log)}")
            time.sleep(0.1)

    def _says(self, word: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._api}/{word}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # HTTPError is one, too
            return False

    def connect(self, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns a superuser's connection in which every statement is a transaction."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user="postgres",
            password=self._password,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def kill(self) -> None:
        """Kills the server, but not Patroni."""
        self._signal(SIGSTOP)
        with suppress(OSError):
            segment = (self._data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            self._signal(SIGKILL)
            # The one segment that it leaves behind.
            subprocess.run(["/usr/bin/ipcrm", "-m", segment], check=False)

    def kill_patroni(self) -> None:
        """Kills Patroni, but not the server."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """Lets both hang."""
        assert self._process is not None
        self._process.send_signal(SIGSTOP)
        super().suspend()

    def resume(self) -> None:
        """Lets both go on."""
        assert self._process is not None
        super().resume()
        self._process.send_signal(SIGCONT)

    def stop(self) -> None:
        """Ends both."""
        if self._process is None:
            return
        self.resume()
        child.stop(self._process, STOP_SECONDS)
        self._signal(SIGINT)  # if Patroni was killed

    def _signal(self, number: int) -> None:
        """Sends a signal to the server, which is no child of ours."""
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            first = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
            # The first process first: it would replace the others.
            for each in (first, *first.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


def _on_loopback(line: str) -> str:
    """Returns a line of pg_hba.conf for 127.0.0.1, from where connections to any loopback address come."""
    words = line.split()
    return " ".join([*words[:3], "127.0.0.1/32", *words[4:]]) if words[0] == "host" else line


class PatroniPair(Pair):
    """A primary and its synchronous standby, each with Patroni."""

    primary: Member
    other: Member

    def __init__(self, directory: Path, port: int) -> None:
        """Prepares them.

        Args:
            directory: For their logs, and for the file with the engines' password.
            port: The port of both servers.
        """
        # The servers' own user must reach it, which the cluster's directory does not allow.
        self._data = Path(tempfile.mkdtemp(prefix="rented-numbers-patroni-"))
        self._data.chmod(0o755)
        if user := server_user():
            shutil.chown(self._data, user["user"], user["group"])
        self._ports, self._logs = Ports(port), directory
        self._password = secrets.token_urlsafe(24)
        self._passfile = directory / "pgpass"
        self._passfile.write_text(f"*:*:*:{USER}:{self._password}\n")
        self._passfile.chmod(0o600)
        passwords = {name: secrets.token_urlsafe(24) for name in ("SUPERUSER", "REPLICATION", "REWIND", "RESTAPI")}
        self.primary, self.other = (Member(each, self._ports, self._data, directory, passwords) for each in (1, 2))
        for member in (self.primary, self.other):
            member.config.chmod(0o644)
        self._etcd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Makes both and starts them."""
        self.start_etcd()
        self.primary.start()
        self.primary.wait_until("primary")
        with self.primary.connect("postgres") as server:
            server.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{self._password}'")
            server.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        self.other.start()
        self.follow()

    def follow(self) -> None:
        """Waits until the other server is the synchronous standby."""
        self.primary.wait_until("primary")
        self.other.wait_until("synchronous")

    def promote(self) -> None:
        """Waits until Patroni has promoted the standby."""
        self.other.wait_until("primary")
        self.primary, self.other = self.other, self.primary

    def switch_over(self) -> None:
        """Makes the standby the primary, as an operator does before work on the primary's machine."""
        words = ("switchover", "--primary", self.primary.name, "--candidate", self.other.name, "--force")
        done = subprocess.run(
            [TOOLS / "bin" / "patronictl", "-c", self.primary.config, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=self.primary.environment,
        )
        if done.returncode:
            raise ClusterFailed(f"patronictl: {done.stderr}{done.stdout}")
        self.promote()

    def start_etcd(self) -> None:
        """Starts etcd, with what it had before."""
        client, peers = (f"http://{ETCD}:{port}" for port in (self._ports.etcd, self._ports.peers))
        given = {
            "name": "etcd1",
            "data-dir": self._data / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"etcd1={peers}",
        }
        with (self._logs / "etcd.log").open("ab") as log:
            self._etcd = subprocess.Popen(
                [TOOLS / "bin" / "etcd", *(f"--{name}={value}" for name, value in given.items())],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **server_user(),
            )

    def kill_etcd(self) -> None:
        """Kills etcd."""
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()

    def remove(self) -> None:
        """Ends everything, and removes the data."""
        endings: tuple[Callable[[], None], ...] = (self.other.stop, self.primary.stop, self.kill_etcd)
        for end in endings:
            end()
        shutil.rmtree(self._data, ignore_errors=True)
