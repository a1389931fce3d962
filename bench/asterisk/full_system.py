"""Starts the product with its own Asterisk, as `run` does: both on the servers' core, the telephones on the other."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import servers
from bench.compare import silent_receiver
from bench.servers import ROOT, SERVER_CORE, Server
from bench.system import HIDDEN, BenchSystem, create_system, environment_of
from engine.asterisk.config_files import find_program, write_own
from engine.config import secrets
from engine.local.processes import LocalAsterisk
from phones.ports import free_port, free_port_range, give_back

BOOKINGS = 5_000
READY_SECONDS = 30.0
# As many as in the default settings.
RTP_PORTS = 1_000
PLAIN = "plain"
# The same Dial to the same trunk, from the same endpoint, without any request to the engine.
PLAIN_DIAL = f"""
[rented-numbers](+)
exten => {PLAIN},1,Dial(PJSIP/{HIDDEN}@trunk-main,30,iIr)
"""


@dataclass(frozen=True)
class Place:
    """Where a running system is, perhaps one that another process has started.

    Attributes:
        sip: Where its calls come in.
        trunk_port: The SIP port where calls to the hidden number arrive.
        services: The rented numbers.
        asterisk: The id of Asterisk's process.
        engine: The id of the engine's process.
    """

    sip: str
    trunk_port: int
    services: list[str]
    asterisk: int
    engine: int

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far, of Asterisk and of the engine."""
        return time.clock_gettime(servers.cpu_clock(self.asterisk)), time.clock_gettime(servers.cpu_clock(self.engine))


@dataclass(frozen=True)
class FullSystem:
    """The running system.

    Attributes:
        trunk_port: The SIP port where calls to the hidden number arrive.
    """

    system: BenchSystem
    engine: Server
    asterisk: psutil.Process
    trunk_port: int

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.system.settings.sip_port}"

    @property
    def place(self) -> Place:
        return Place(self.sip, self.trunk_port, self.system.services, self.asterisk.pid, self.engine.process.pid)

    def ledger(self) -> list[str]:
        """The broken rules that `ledger verify` reports."""
        command = [sys.executable, "-m", "engine", "ledger", "verify", "--json"]
        environment = {**os.environ, **environment_of(self.system.settings)}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        return [str(each["rule"]) for each in json.loads(done.stdout)]


@contextmanager
def full_system(directory: Path, **more: object) -> Iterator[FullSystem]:
    """Starts the system with the settings `more`, and waits until it is ready for calls."""
    trunk_port, rtp = free_port(), free_port_range(RTP_PORTS)
    own: Mapping[str, object] = {
        "sip_port": free_port(),
        "ami_port": free_port(),
        "rtp_start": rtp,
        "rtp_end": rtp + RTP_PORTS - 1,
        "trunk_uri": f"sip:127.0.0.1:{trunk_port}",
        **more,
    }
    with ExitStack() as running:
        running.callback(give_back, rtp, RTP_PORTS)
        callback = running.enter_context(silent_receiver())
        system = create_system(directory / "system", (free_port(), free_port()), callback, bookings=BOOKINGS, more=own)
        asterisk = running.enter_context(_asterisk(system))
        engine = running.enter_context(servers.engine(system, directory / "engine.log"))
        _wait_ready(system)
        yield FullSystem(system, engine, asterisk, trunk_port)


@contextmanager
def _asterisk(system: BenchSystem) -> Iterator[psutil.Process]:
    kept = secrets.load(system.settings.data_dir / "secrets")
    program = find_program()
    home = write_own(system.settings, kept, program)
    extensions = home.etc / "extensions.conf"
    extensions.write_text(extensions.read_text() + PLAIN_DIAL)
    with asyncio.Runner() as runner:
        asterisk = LocalAsterisk(program, home)
        try:
            with children_on(SERVER_CORE):
                child = runner.run(asterisk.start())
            yield psutil.Process(child.pid)
        finally:
            runner.run(asterisk.stop())


@contextmanager
def children_on(core: int) -> Iterator[None]:
    """Binds processes that are started inside its `with` to one core: children inherit the affinity."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_ready(system: BenchSystem) -> None:
    """Waits until the engine has connected to Asterisk."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{system.settings.http_port}/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the engine is not ready")
